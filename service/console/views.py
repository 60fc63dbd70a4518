"""What the admin API tells, as it tells it. Times are Unix seconds, durations seconds."""

from typing import Literal

from pydantic import BaseModel, Field


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
    safeguards: list[str] = Field(description="Those that the tier requires.")
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


class KeyView(BaseModel):
    """An API key, without what it takes to use it."""

    id: str
    project: str
    prefix: str
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None


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


class ErrorDetail(BaseModel):
    """Why a request was refused; `code` is for programs, `param` names the parameter at fault."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorView(BaseModel):
    """An error, in the shape of OpenAI's."""

    error: ErrorDetail
