"""What the groups of settings are made of."""

import os
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo

MIB: Final = 1024 * 1024

Port = Annotated[int, Field(ge=0, le=65535)]
"""0 lets the system choose, which is for tests."""
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,127}$"
DETECTOR_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"
FACTORY: Final = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
ISSUER_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"
HEADER_NAME: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
ORIGIN: Final = r"^(\*|https?://[^/\s?#]+)$"
URL: Final = r"^https?://[^/\s?#@]+(/[^\s?#]*)?$"
BASE_URL: Final = r"^https?://\S+$"
REDIS_URL: Final = r"^(rediss?|unix)://[^\s#]+$"
SHA256: Final = r"^[0-9a-f]{64}$"
PREFIX: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
EXPECTED: Final = {
    REDIS_URL: "an address such as redis://:password@127.0.0.1:6379/0, rediss:// for TLS, or "
    "unix:///path/of/socket",
    PREFIX: "up to 64 letters, digits and ._:-, the first a letter or a digit",
    NAME: "up to 128 letters, digits and ._/:@-, the first a letter or a digit",
    SHA256: "64 hexadecimal digits, small letters",
    DETECTOR_NAME: "up to 64 small letters, digits and ._-, the first a letter or a digit",
    FACTORY: "a module and a function in it, such as acme.detectors:make",
    ISSUER_NAME: "up to 32 letters, digits and ._-, the first a letter or a digit",
    HEADER_NAME: "the name of a header",
    ORIGIN: "an origin such as https://app.example.org, without a path, or *",
    URL: "an address such as http://127.0.0.1:8000, with http:// or https://, "
    "without user and ?query",
    BASE_URL: "an address such as http://127.0.0.1:9093, with http:// or https://",
}
"""Pattern → what texts that match it are, in words."""

Name = Annotated[str, Field(pattern=NAME)]


def path_from_base(path: Path, info: ValidationInfo) -> Path:
    """Take a relative path from the settings file's folder."""
    base: Path = (info.context or {}).get("base", Path.cwd())
    return Path(os.path.normpath(base.absolute() / path.expanduser()))


def has_host_and_port(url: str) -> str:
    """Refuse an address of no host, or of a port that there is not."""
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:  # whose words quote the address
        is_usable = False
    if not is_usable:
        raise ValueError("expected a host in ASCII, and a port from 1 to 65535 or none")
    return url


_POSTGRES_OPTIONS: Final = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey"})


def is_postgres(url: str) -> str:
    """Refuse an address of PostgreSQL that lacks a part, or has options of other kinds than TLS.

    A password among the options would be shown where the one before the @ is not.
    """
    parts = urlsplit(has_host_and_port(url))
    if parts.netloc.count("@") > 1:
        raise ValueError("an @ in a password is written as %40")
    if not parts.path.strip("/") or "/" in parts.path[1:] or parts.fragment:
        raise ValueError("expected the name of a database after the port, as in /watchgate")
    options = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if options - _POSTGRES_OPTIONS:
        there_are = ", ".join(sorted(_POSTGRES_OPTIONS))
        raise ValueError(f"expected no option after the ? but: {there_are}")
    return url


MIN_SECRET_BYTES: Final = 16


def _long_enough(secret: SecretStr) -> SecretStr:
    size = len(secret.get_secret_value().encode())
    if size < MIN_SECRET_BYTES:
        raise ValueError(
            f"it has {size} bytes; at least {MIN_SECRET_BYTES} are needed (openssl rand -hex 32)"
        )
    return secret


Secret = Annotated[SecretStr, AfterValidator(_long_enough)]
"""What digests are made under: too long to be guessed."""
FilePath = Annotated[Path, AfterValidator(path_from_base)]


class Section(BaseModel):
    """What all groups of settings share: nothing unknown, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
