"""The settings of both sides of the gateway: where callers come in, and where requests go."""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)

from service.settings.base import (
    HEADER_NAME,
    MIB,
    ORIGIN,
    SHA256,
    URL,
    FilePath,
    Name,
    Port,
    Section,
    has_host_and_port,
)

_SOCKET_PATH_BYTES: Final = 107
"""Linux takes no longer path of a socket."""
_SOCKET_NAME_BYTES: Final = len("/0123456789abcdef.sock")
MOST_SOCKETS_BYTES: Final = _SOCKET_PATH_BYTES - _SOCKET_NAME_BYTES
"""Of the path of a folder of sockets."""

HeaderName = Annotated[str, Field(pattern=HEADER_NAME)]
Url = Annotated[str, Field(pattern=URL), AfterValidator(has_host_and_port)]


class Tls(Section):
    """A certificate that a server of ours shows."""

    cert_file: FilePath
    key_file: FilePath


class Cors(Section):
    """Browsers' pages of other origins that may call."""

    allow_origins: Annotated[
        tuple[Annotated[str, Field(pattern=ORIGIN)], ...],
        Field(min_length=1),
    ]
    allow_headers: tuple[HeaderName, ...] = ()
    expose_headers: tuple[HeaderName, ...] = (
        "x-request-id",
        "x-watchgate-receipt",
        "retry-after",
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    )
    max_age_s: Annotated[int, Field(ge=0)] = 600


class Gateway(Section):
    """Where callers come in, and what they may send."""

    host: str = "127.0.0.1"
    port: Port = 8080
    workers: PositiveInt = 1
    max_body_bytes: PositiveInt = 16 * MIB
    max_answer_bytes: PositiveInt = 32 * MIB
    max_header_bytes: PositiveInt = 32 * 1024
    max_header_count: PositiveInt = 100
    header_timeout_s: PositiveFloat = 10.0
    body_timeout_s: PositiveFloat = 60.0
    keep_alive_s: PositiveFloat = 75.0
    stall_timeout_s: PositiveFloat = 60.0
    drain_s: PositiveFloat = 30.0
    backlog: PositiveInt = 2048
    max_connections: PositiveInt = 10_000
    max_connections_per_key: PositiveInt | None = None
    tls: Tls | None = None
    cors: Cors | None = None


class Balancing(Section):
    """How requests are spread over the replicas of an upstream."""

    affinity_bytes: Annotated[int, Field(ge=0)] = 1024
    affinity_slack: PositiveInt = 8
    eject_after_failures: PositiveInt = 3
    eject_first_s: PositiveFloat = 1.0
    eject_longest_s: PositiveFloat = 60.0


class ProbeListener(Section):
    """Where plugins of other machines come in: both sides show certificates."""

    host: str
    port: Port
    cert_file: FilePath
    key_file: FilePath
    ca_file: FilePath


class Probes(Section):
    """Where the plugin in an upstream's vLLM tells what its probes see."""

    sockets: Path | None = None
    listen: ProbeListener | None = None
    digest: Annotated[str, Field(pattern=SHA256)] | None = None
    required: bool = False

    @field_validator("sockets")
    @classmethod
    def _fits_a_socket(cls, folder: Path | None) -> Path | None:
        if folder is not None and len(str(folder).encode()) > MOST_SOCKETS_BYTES:
            words = f"expected a path of at most {MOST_SOCKETS_BYTES} bytes: it is one of sockets"
            raise ValueError(words)
        return folder

    @model_validator(mode="after")
    def _has_one_way_in(self) -> Self:
        if (self.sockets is None) == (self.listen is None):
            raise ValueError(
                "expected either sockets, for a vLLM on this machine, or listen, for one elsewhere"
            )
        return self


class Upstream(Section):
    """A vLLM server, or several replicas of one."""

    name: Name
    url: Url | None = None
    urls: tuple[Url, ...] = ()
    api_key: SecretStr | None = None
    connect_timeout_s: PositiveFloat = 5.0
    read_timeout_s: PositiveFloat = 300.0
    total_timeout_s: PositiveFloat = 1800.0
    max_connections: PositiveInt = 1024
    keep_alive_s: PositiveFloat = 4.0
    health_interval_s: Annotated[float, Field(ge=0)] = 5.0
    health_timeout_s: PositiveFloat = 5.0
    balancing: Balancing = Balancing()
    probes: Probes | None = None
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @property
    def replicas(self) -> tuple[str, ...]:
        """The base address of each replica."""
        return self.urls if self.url is None else (self.url,)

    @property
    def probes_required(self) -> bool | None:
        """Whether its models are served only while its probes tell; None: it has none."""
        return None if self.probes is None else self.probes.required

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        text = "" if key is None else key.get_secret_value()
        if not (text.isascii() and text.isprintable()):
            raise ValueError("expected ASCII without control characters, as a header takes it")
        return key

    @model_validator(mode="after")
    def _has_addresses(self) -> Self:
        if (self.url is None) == (not self.urls):
            raise ValueError("expected either url, or urls for several replicas")
        if len({url.rstrip("/") for url in self.urls}) < len(self.urls):
            raise ValueError("each of urls must be another replica's")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        return self
