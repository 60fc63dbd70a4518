"""Where requests are counted against their limits."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from service.core.tiers import MAX_TIER, TIERS
from service.settings.base import PREFIX, REDIS_URL, FilePath, Section

_SHARED: Final = frozenset({0, 1})
"""Tiers that are served by shares unless it is set otherwise."""


def _is_usable(url: str) -> str:
    """Refuse an address without a host or path, a database that is no number, and other options.

    A password among the options would be shown where the one before the @ is not.
    """
    try:
        parts = urlsplit(url)
        is_socket = parts.scheme == "unix"
        db = parse_qs(parts.query).get("db", [""])[0] if is_socket else parts.path.strip("/")
        has_place = bool(parts.path) if is_socket else bool(parts.hostname) and parts.port != 0
        has_options = parts.query not in (("", f"db={db}") if is_socket else ("",))
    except ValueError:  # whose words quote the address
        has_place, db, has_options = False, "", False
    if not (has_place and url.isascii() and (db.isdecimal() or not db)):
        raise ValueError("expected a host, a port or none, and a database's number or none")
    if has_options:
        raise ValueError("expected no option after a ? but ?db=1 after the path of a socket")
    return url


RedisUrl = Annotated[str, Field(pattern=REDIS_URL), AfterValidator(_is_usable)]
Tier = Annotated[int, Field(ge=0, le=MAX_TIER)]


class MemoryLimits(Section):
    """One gateway process counts by itself, and keeps what it counted in `data_dir`."""

    kind: Literal["memory"] = "memory"


class RedisLimits(Section):
    """Any number of gateways count in one Redis."""

    kind: Literal["redis"]
    url: RedisUrl
    gateways: PositiveInt
    prefix: Annotated[str, Field(pattern=PREFIX)] = "watchgate"
    timeout_ms: PositiveInt = 250
    lease_s: Annotated[float, Field(ge=5)] = 30.0
    when_away: dict[Tier, Literal["share", "refuse"]] = Field(default_factory=dict)
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @property
    def share_tiers(self) -> frozenset[int]:
        """The tiers that are served by this gateway's share of each limit while Redis is away."""
        numbers = [tier.number for tier in TIERS]
        default = {it: "share" if it in _SHARED else "refuse" for it in numbers}
        return frozenset(it for it in numbers if (default | self.when_away)[it] == "share")

    @property
    def client_certificate(self) -> tuple[Path, Path] | None:
        """The certificate and the key that we show, if any."""
        if self.cert_file is None or self.key_file is None:
            return None
        return self.cert_file, self.key_file

    @model_validator(mode="after")
    def _has_a_whole_certificate(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        return self
