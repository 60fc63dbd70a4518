"""What the admin API tells, as it tells it. Times are Unix seconds, durations seconds."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from detectors.api import Category, Part
from service.console.rules import RulesFields
from service.core.directory import Scope, Standing
from service.core.labels import Meaning
from service.core.points import PointSource, PointState, PointStep


class WorkerView(BaseModel):
    """A worker's last sign of life."""

    name: str
    last_beat_at: float
    silent_s: float
    lag_s: float = Field(description="How far behind it is by now; silence counts as lag.")


class ModelView(BaseModel):
    """A model as the settings have it."""

    name: str
    tier: int
    upstream: str
    safeguards: list[str] = Field(
        description="Those that the tier requires, and `probes` where its upstream does."
    )
    open_gaps: int


class StatusView(BaseModel):
    """The whole at a glance."""

    version: str
    workers: list[WorkerView]
    models: list[ModelView]
    alerts_firing: int
    open_gaps: int


class AlertView(BaseModel):
    """An alert of the outbox; the exchange is the latest that raised it."""

    id: int
    state: Literal["firing", "resolved"]
    labels: dict[str, str]
    count: int
    raised_at: float
    last_at: float
    resolved_at: float | None
    exchange_id: str
    score: float
    threshold: float


class GapView(BaseModel):
    """An exchange that is not covered."""

    exchange_id: str
    kind: str
    model: str
    since: float


class CoverageView(BaseModel):
    """All gaps that are open, counted, and the latest of them."""

    open_gaps: int
    gaps: list[GapView]


class OrganisationView(BaseModel):
    """Who projects belong to."""

    name: str
    entitlements: list[str]
    created_at: float
    created_by: str
    disabled_at: float | None


class ProjectView(BaseModel):
    """Who keys belong to: an account."""

    name: str
    organisation: str
    rules: RulesFields
    end_user_key: str | None = Field(description="The public key that signs ids of end users.")
    entitlements: list[str]
    created_at: float
    created_by: str
    disabled_at: float | None


class ServiceAccountView(BaseModel):
    """A program of a project."""

    id: str
    project: str
    name: str
    entitlements: list[str]
    created_at: float
    created_by: str
    disabled_at: float | None


class KeyView(BaseModel):
    """An API key, without what it takes to use it."""

    id: str
    prefix: str
    project: str
    service_account: str | None
    name: str | None
    rules: RulesFields
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None = Field(description="To the hour.")


class NewKeyView(KeyView):
    """A key that was just made."""

    key: str = Field(description="Shown this once: only a digest of it is kept.")


class LimitsView(BaseModel):
    """Limits of one subject; null: no limit."""

    id: str = Field(description="For `after`.")
    scope: Scope
    subject: str
    model: str | None = Field(description="null: all models together.")
    requests_per_min: int | None
    tokens_per_min: int | None
    concurrent_requests: int | None
    tokens_per_day: int | None
    tokens_per_month: int | None


class RateView(BaseModel):
    """A share that was counted, with its bounds at 95 % confidence."""

    count: int
    total: int
    low: float
    high: float


class ErrorRatesView(BaseModel):
    """What a point did on labelled rows when its threshold was set."""

    flagged: RateView = Field(description="Benign rows that crossed it.")
    recall: RateView | None = Field(description="Misuse rows that crossed it.")
    detector_version: str | None


class PointView(BaseModel):
    """A version of an operating point; null, or no model: it is for all."""

    ref: str = Field(description="For `after`.")
    id: str
    version: int = Field(description="From 1 on; 0: it stands in the settings.")
    source: PointSource
    state: PointState
    applies: bool = Field(description="It is active, and its time is not over.")
    detector: str
    category: Category
    part: Part
    threshold: float
    action: str
    tier: int | None
    models: list[str]
    project: str | None
    surface: str | None
    owner: str
    reason: str
    expires_at: float | None
    measured: ErrorRatesView | None
    replaces: int | None = Field(description="The version that a rollback brings back.")
    created_at: float | None
    created_by: str | None


class PointChangeView(BaseModel):
    """What was done to a point."""

    number: int
    version: int
    step: PointStep
    at: float
    by: str
    reason: str


class PointHistoryView(BaseModel):
    """All versions of a point, and what was done to it, the first first."""

    id: str
    versions: list[PointView]
    changes: list[PointChangeView]


class LabelView(BaseModel):
    """What one person says of a part of an exchange."""

    ref: str = Field(description="For `after`.")
    exchange_id: str
    part: Part
    label: Meaning
    categories: list[Category] = Field(description="Of the misuse; of what is benign none.")
    note: str | None
    by: str
    at: float


class AccountView(BaseModel):
    """An account's standing; the nulls are of one that was never in another than good."""

    account: str
    state: Standing
    reason: str | None
    since: float | None
    by: str | None


class TokenView(BaseModel):
    """An admin token, without what it takes to use it."""

    id: str
    name: str
    role: str = Field(description="One that this version does not know may nothing.")
    prefix: str
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None = Field(description="To the hour.")


class NewTokenView(TokenView):
    """An admin token that was just made."""

    token: str = Field(description="Shown this once: only a digest of it is kept.")


class EntryView(BaseModel):
    """An entry of the audit log: who did what to what, and why."""

    seq: int
    at: float
    actor: str
    action: str
    object: str
    before: Any
    after: Any
    reason: str | None
