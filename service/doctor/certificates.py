"""Looks at the certificates that the settings name."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from service.core.findings import Finding, ok, problem
from service.doctor.results import Named
from service.settings import Settings
from service.wiring.certificates import earliest_end, named_certificates

SOON_DAYS: Final = 21.0
"""A certificate that ends within so many days is a problem already."""
_OTHERS: Final = 0o007


def certificates(settings: Settings) -> Iterator[Named]:
    """Check each certificate's end, and that its key is its own and kept from others."""
    now = datetime.now(UTC)
    for name, file, key in named_certificates(settings):
        if file is not None:
            try:
                yield name, _judge(file, key, now)
            except (OSError, ValueError) as error:
                words = error.strerror if isinstance(error, OSError) else "no certificate in PEM"
                yield name, problem(f"{file}: {words}", "correct the file, or its setting")


def _judge(file: Path, key: Path | None, now: datetime) -> Finding:
    ends = earliest_end(file)
    days = (ends - now).total_seconds() / 86400
    if days < SOON_DAYS:
        when = f"ended on {ends:%Y-%m-%d}" if days < 0 else f"ends on {ends:%Y-%m-%d}"
        return problem(f"{file} {when}", "put a new one in its place, and restart")
    if key is not None and (trouble := _trouble(file, key)):
        return trouble
    return ok(f"{file} is good until {ends:%Y-%m-%d}")


def _trouble(file: Path, key: Path) -> Finding | None:
    if key.stat().st_mode & _OTHERS:
        return problem(f"everybody on this machine may read {key}", f"chmod 600 {key}")
    try:
        # an encrypted key would have the library ask on the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file, key, password="")
    except ssl.SSLError:
        return problem(f"{key} is not the key of {file}", "name the two that belong together")
    return None
