"""The admin API, read-only: what the store knows, for whoever shows the admin token."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPBearer

from service.console.problems import ERRORS, tell_errors
from service.console.views import (
    AlertView,
    CoverageView,
    GapView,
    KeyView,
    ModelView,
    StatusView,
    WorkerView,
)
from service.core.alerts import Alert
from service.store import Store
from service.store.alerts import list_alerts
from service.store.coverage import count_gaps, list_gaps
from service.store.heartbeats import Heartbeat, read_heartbeats
from service.store.keys import list_keys

PREFIX: Final = "/admin/v1"

Limit = Annotated[int, Query(ge=1, le=10_000, description="At most so many, the latest first.")]
_SHOWS_TOKEN: Final = HTTPBearer(auto_error=False, description="The admin token.")
"""For the OpenAPI document alone: `TokenGuard` has looked before."""
Next = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that the settings register, with the safeguards that its tier requires."""

    name: str
    tier: int
    upstream: str
    safeguards: tuple[str, ...]


class Desk:
    """Answers each question with one look into the store."""

    def __init__(
        self, store: Store, models: Sequence[KnownModel], version: str, clock: Callable[[], float]
    ) -> None:
        """Look nothing up yet."""
        self._store = store
        self._models = models
        self._version = version
        self._clock = clock

    def status(self) -> StatusView:
        """The workers' signs of life, the models and what their tiers require, alerts, gaps."""
        now = self._clock()
        with self._store.read() as connection:
            beats = read_heartbeats(connection)
            gaps = count_gaps(connection)
            firing = len(list_alerts(connection))
        return StatusView(
            version=self._version,
            workers=[_worker(name, beat, now) for name, beat in sorted(beats.items())],
            models=[_model(model, gaps) for model in self._models],
            alerts_firing=firing,
            open_gaps=sum(gaps.values()),
        )

    def alerts(self, resolved: bool = False, limit: Limit = 1000) -> list[AlertView]:
        """The alerts that fire or, with `resolved`, all of them, the latest first."""
        with self._store.read() as connection:
            return [_alert(one) for one in list_alerts(connection, resolved=resolved)[:limit]]

    def keys(self, project: str | None = None) -> list[KeyView]:
        """All keys or those of a project, revoked and expired ones too, the oldest first."""
        with self._store.read() as connection:
            return [KeyView(**asdict(key)) for key in list_keys(connection, project)]

    def coverage(self, limit: Limit = 1000) -> CoverageView:
        """The exchanges that are not covered; in a healthy installation there are none."""
        with self._store.read() as connection:
            total = sum(count_gaps(connection).values())
            found = list_gaps(connection, limit)
        gaps = [GapView(**asdict(one.gap), since=one.since) for one in found]
        return CoverageView(open_gaps=total, gaps=gaps)


def make_admin_app(desk: Desk) -> FastAPI:
    """Return the application, which `TokenGuard` must stand before."""
    app = FastAPI(
        title="Watchgate admin API",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(_SHOWS_TOKEN)],
        responses=ERRORS,
    )
    tell_errors(app)
    for name in ("status", "alerts", "keys", "coverage"):
        app.get(f"{PREFIX}/{name}", summary=name.capitalize())(getattr(desk, name))

    @app.middleware("http")
    async def keep_private(request: Request, follow: Next) -> Response:
        response = await follow(request)
        response.headers["cache-control"] = "no-store"
        return response

    return app


def _worker(name: str, beat: Heartbeat, now: float) -> WorkerView:
    silent_s = max(0.0, now - beat.at)
    return WorkerView(name=name, last_beat_at=beat.at, silent_s=silent_s, lag_s=beat.lag_at(now))


def _model(model: KnownModel, gaps: Mapping[tuple[str, str], int]) -> ModelView:
    return ModelView(
        name=model.name,
        tier=model.tier,
        upstream=model.upstream,
        safeguards=list(model.safeguards),
        open_gaps=sum(count for (name, _), count in gaps.items() if name == model.name),
    )


def _alert(alert: Alert) -> AlertView:
    return AlertView(
        id=alert.id,
        state=alert.state,
        labels=dict(alert.labels),
        count=alert.count,
        raised_at=alert.raised_at,
        last_at=alert.last_at,
        resolved_at=alert.resolved_at,
        exchange_id=alert.last_exchange_id,
        score=alert.score,
        threshold=alert.threshold,
    )
