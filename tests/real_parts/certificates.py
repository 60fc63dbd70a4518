"""Certificates made for one test by the openssl command."""

import shutil
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key."""

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
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    _request(made, "watchgate test", f"subjectAltName={','.join(names)}")
    return made


class Authority:
    """Signs certificates, as an operator's own authority does."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.own = Certificate(folder / "ca.pem", folder / "ca.key")
        _request(self.own, f"authority {folder.name}")

    def sign(self, name: str, usage: str, *names: str) -> Certificate:
        """Make a certificate for "serverAuth" or "clientAuth"."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        more = [f"subjectAltName={','.join(names)}"] if names else []
        signed_by = ("-CA", str(self.own.certificate), "-CAkey", str(self.own.key))
        uses = (f"extendedKeyUsage={usage}", "basicConstraints=critical,CA:FALSE")
        _request(made, name, *uses, *more, signed_by=signed_by)
        return made


def _request(
    made: Certificate, subject: str, *extensions: str, signed_by: Sequence[str] = ()
) -> None:
    assert shutil.which("openssl"), "this test needs the openssl command: apt-get install openssl"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    added = [word for one in extensions for word in ("-addext", one)]
    subprocess.run(
        [
            *words.split(),
            *signed_by,
            *("-subj", f"/CN={subject}"),
            *added,
            *("-keyout", str(made.key), "-out", str(made.certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
