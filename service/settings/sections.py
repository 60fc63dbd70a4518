"""The shape of the settings: names, types, defaults. docs/settings.md describes each key."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from detectors.api import Category, Part
from service.core.policies import Policy, policy_of
from service.core.tiers import MAX_TIER
from service.settings.access import Access
from service.settings.auth import Auth
from service.settings.base import (
    BASE_URL,
    MIB,
    FilePath,
    Name,
    Port,
    Secret,
    Section,
    has_host_and_port,
    is_postgres,
    path_from_base,
)
from service.settings.detectors import SHIPPED, Detector
from service.settings.limits import MemoryLimits, RedisLimits
from service.settings.policies import ScreeningPolicy
from service.settings.serving import Gateway, Tls, Upstream

BaseUrl = Annotated[str, Field(pattern=BASE_URL), AfterValidator(has_host_and_port)]
TierNumber = Annotated[int, Field(ge=0, le=MAX_TIER)]


class Console(Section):
    """Where the admin API is."""

    host: str = "127.0.0.1"
    port: Port = 8081
    tls: Tls | None = None


class OpsPorts(Section):
    """Health and metrics, where each process runs on its own."""

    gateway: Port = 9464
    screener: Port = 9465
    enforcer: Port = 9466
    custodian: Port = 9467
    shipper: Port = 9468
    console: Port = 9469


class Ops(Section):
    """Health, readiness and metrics: `port` for `watchgate up`, `ports` for single processes."""

    host: str = "127.0.0.1"
    port: Port = 9464
    ports: OpsPorts = OpsPorts()


class Model(Section):
    """A served name. A registered model without a tier is tier 4."""

    name: Name
    upstream: str
    upstream_model: str = ""
    tier: TierNumber = MAX_TIER
    adapter: bool = False
    entitlements: tuple[Name, ...] = ()
    context_tokens: PositiveInt | None = None
    screening: ScreeningPolicy = ScreeningPolicy()

    @model_validator(mode="before")
    @classmethod
    def _same_name_upstream(cls, data: Any) -> Any:  # noqa: ANN401  (pydantic gives what was written)
        if isinstance(data, dict) and not data.get("upstream_model"):
            return {**data, "upstream_model": data.get("name")}
        return data


class Journal(Section):
    """The durable local log of each process that appends."""

    segment_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    max_bytes: Annotated[int, Field(ge=4 * MIB)] = 20 * 1024 * MIB
    reserve_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    max_queue_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    keep_s: Annotated[float, Field(ge=0)] = 7 * 86400.0

    @model_validator(mode="after")
    def _reserve_fits(self) -> Self:
        if self.reserve_bytes + self.segment_bytes > self.max_bytes:
            raise ValueError("max_bytes must hold at least one segment and the reserve")
        return self


class JournalLog(Section):
    """One machine: the workers read the journals themselves."""

    kind: Literal["journal"] = "journal"


class KafkaSecurity(Section):
    """TLS and SASL, as kafka-python takes them."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None


class KafkaTopics(Section):
    """The names in Kafka of the logical topics."""

    exchanges: Name = "watchgate.exchanges"
    verdicts: Name = "watchgate.verdicts"
    dead_letters: Name = "watchgate.dead-letters"
    audit: Name = "watchgate.audit"


class KafkaLog(Section):
    """Several machines: a shipper carries each journal to Kafka, the workers read there."""

    kind: Literal["kafka"]
    bootstrap_servers: Annotated[tuple[str, ...], Field(min_length=1)]
    security: KafkaSecurity = KafkaSecurity()
    topics: KafkaTopics = KafkaTopics()
    partitions: PositiveInt = 12
    replication_factor: PositiveInt = 1
    retention_s: PositiveFloat = 7 * 86400.0
    max_message_bytes: Annotated[int, Field(ge=16 * 1024)] = 900_000


class Store(Section):
    """Keys, alerts and whatever else is asked and changed: SQLite, or PostgreSQL."""

    url: Annotated[str, Field(validate_default=True)] = "sqlite:///var/watchgate.db"
    poll_s: PositiveFloat = 1.0
    max_staleness_s: dict[TierNumber, PositiveFloat] = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _has_a_database(cls, url: str, info: ValidationInfo) -> str:
        scheme, separator, path = url.partition(":///")
        if scheme == "sqlite" and separator and path:
            return f"sqlite:///{path_from_base(Path(path), info)}"
        if not url.startswith("postgresql://"):
            raise ValueError("expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME")
        return is_postgres(url)

    @field_validator("max_staleness_s", mode="before")
    @classmethod
    def _one_for_all_tiers(cls, given: Any) -> Any:  # noqa: ANN401  (what was written)
        if isinstance(given, dict):
            return given
        try:
            seconds = float(given)
        except (TypeError, ValueError):
            seconds = 0.0
        if not seconds > 0:
            raise ValueError("expected seconds over 0, or a mapping of tiers to seconds")
        return dict.fromkeys(range(MAX_TIER + 1), seconds)


class Audit(Section):
    """The audit log's chain is made under the key; without one, a file in data_dir is made."""

    key: Secret | None = None

    @property
    def secret(self) -> str | None:
        """The key in the clear."""
        return None if self.key is None else self.key.get_secret_value()


class Alerts(Section):
    """Who is told. Without Alertmanagers alerts stay in the outbox: `watchgate alerts list`."""

    alertmanagers: tuple[BaseUrl, ...] = ()
    resend_s: PositiveFloat = 30.0
    hold_s: PositiveFloat = 900.0


class Screening(Section):
    """How the screener works, and what the gateway screens before it releases anything."""

    batch_records: PositiveInt = 64
    observe_only: bool = False
    tiers: dict[Annotated[int, Field(ge=0, le=MAX_TIER)], ScreeningPolicy] = Field(
        default_factory=dict
    )


class Traces(Section):
    """What spans hold; the standard OTEL_* variables say whether and where they go."""

    content: bool = False


class OperatingPoint(Section):
    """A detector's threshold on a category, for a part of an exchange, and what follows."""

    detector: Name
    category: Category
    part: Part
    threshold: Annotated[float, Field(ge=0, le=1)]
    action: Literal["record", "case", "page", "block"]
    models: tuple[Name, ...] = ()
    """None named: all."""

    @property
    def name(self) -> str:
        """A readable id, unique among points that differ in more than threshold and models."""
        return f"{self.detector}/{self.category}/{self.part}/{self.action}"


class Settings(Section):
    """Everything that an operator decides."""

    data_dir: FilePath = Field(default=Path("./var"), validate_default=True)
    gateway: Gateway = Gateway()
    console: Console = Console()
    ops: Ops = Ops()
    upstreams: tuple[Upstream, ...]
    models: tuple[Model, ...]
    journal: Journal = Journal()
    event_log: Annotated[JournalLog | KafkaLog, Field(discriminator="kind")] = JournalLog()
    store: Store = Store()
    auth: Auth = Auth()
    access: Access = Access()
    limits: Annotated[MemoryLimits | RedisLimits, Field(discriminator="kind")] = MemoryLimits()
    audit: Audit = Audit()
    alerts: Alerts = Alerts()
    traces: Traces = Traces()
    screening: Screening = Screening()
    detectors: tuple[Detector, ...] = SHIPPED
    operating_points: tuple[OperatingPoint, ...] = ()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def policy(self, model: Model) -> Policy:
        """Return how a model is screened: its tier's policy, with the changes that are set."""
        of_tier = self.screening.tiers.get(model.tier, ScreeningPolicy())
        return policy_of(model.tier, of_tier, model.screening)
