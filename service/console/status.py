"""How things stand: workers, models, alerts, coverage."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import Query

from service.console.office import KnownModel, Office
from service.console.routes import Route, Routes
from service.console.views import (
    AlertView,
    CoverageView,
    GapView,
    ModelView,
    StatusView,
    WorkerView,
)
from service.core.alerts import Alert
from service.core.roles import Permission
from service.store.alerts import list_alerts
from service.store.coverage import count_gaps, list_gaps
from service.store.heartbeats import Heartbeat, read_heartbeats

Latest = Annotated[int, Query(ge=1, le=10_000, description="At most so many, the latest first.")]


Point = Annotated[
    str | None, Query(max_length=512, description="Only those of this operating point, by its id.")
]


class Status:
    """Answers each question with one look into the store."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        return (
            Route("GET", "/status", Permission.READ, self.show),
            Route("GET", "/alerts", Permission.READ, self.alerts),
            Route("GET", "/coverage", Permission.READ, self.coverage),
        )

    def show(self) -> StatusView:
        """The workers' signs of life, the models and what their tiers require, alerts, gaps."""
        now = self._office.clock()
        with self._office.read() as connection:
            beats = read_heartbeats(connection)
            gaps = count_gaps(connection)
            firing = len(list_alerts(connection))
        return StatusView(
            version=self._office.version,
            workers=[_worker(name, beat, now) for name, beat in sorted(beats.items())],
            models=[_model(model, gaps) for model in self._office.models],
            alerts_firing=firing,
            open_gaps=sum(gaps.values()),
        )

    def alerts(
        self, resolved: bool = False, point: Point = None, limit: Latest = 1000
    ) -> list[AlertView]:
        """The alerts that fire or, with `resolved`, all of them, the latest first."""
        with self._office.read() as connection:
            found = list_alerts(connection, resolved=resolved, point=point)
        return [_alert(one) for one in found[:limit]]

    def coverage(self, limit: Latest = 1000) -> CoverageView:
        """The exchanges that are not covered; in a healthy installation there are none."""
        with self._office.read() as connection:
            total = sum(count_gaps(connection).values())
            found = list_gaps(connection, limit)
        gaps = [GapView(**asdict(one.gap), since=one.since) for one in found]
        return CoverageView(open_gaps=total, gaps=gaps)


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
