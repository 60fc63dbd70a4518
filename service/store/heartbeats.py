"""Signs of life of the workers: how gateways learn how far behind the screening is."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from service.store.upsert import insert_into
from service.store.worker_tables import heartbeats


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When a worker last said how far behind it is."""

    at: float
    lag_s: float

    def lag_at(self, now: float) -> float:
        """Seconds it may be behind by now: silence counts as lag."""
        return self.lag_s + max(0.0, now - self.at)


def beat(connection: Connection, worker: str, at: float, lag_s: float) -> None:
    """Keep a worker's latest sign of life. The revision stays: gateways ask for these anyway."""
    row = insert_into(connection, heartbeats).values(worker=worker, at=at, lag_s=lag_s)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[heartbeats.c.worker],
            set_={"at": row.excluded.at, "lag_s": row.excluded.lag_s},
        )
    )


def read_heartbeats(connection: Connection) -> Mapping[str, Heartbeat]:
    """Return the latest sign of life of each worker."""
    return {
        row.worker: Heartbeat(row.at, row.lag_s) for row in connection.execute(select(heartbeats))
    }


def forget_heartbeats(connection: Connection, before: float) -> int:
    """Drop workers that were silent since a time, as those that are gone; return how many."""
    return connection.execute(delete(heartbeats).where(heartbeats.c.at < before)).rowcount
