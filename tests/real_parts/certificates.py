"""Certificates made for one test by the openssl command."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that is its own authority, with its key."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Serve with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Trust it, and nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))


def self_signed(folder: Path, *names: str) -> Certificate:
    """Make a certificate for these subject alternative names, such as "IP:127.0.0.1"."""
    assert shutil.which("openssl"), "this test needs the openssl command: apt-get install openssl"
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subprocess.run(
        [
            *words.split(),
            *("-subj", "/CN=watchgate test"),
            *("-addext", f"subjectAltName={','.join(names)}"),
            *("-keyout", str(made.key), "-out", str(made.certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return made
