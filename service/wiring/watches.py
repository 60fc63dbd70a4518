"""What a gateway keeps watch over: the store, and the safeguards."""

from collections.abc import Sequence
from pathlib import Path

from service.core.tiers import staleness_bounds
from service.errors import BadRecord
from service.events.journal import Journal, oldest_unread
from service.events.journal.groups import Group, groups_folder
from service.events.schema import made_at
from service.gateway.safeguards import SafeguardBoard, SafeguardWatch
from service.gateway.store_watch import StoreWatch
from service.settings import KafkaLog, Settings
from service.store import Store
from service.store.copy import LocalCopy
from service.store.pepper import pepper_id, pepper_in_use
from service.telemetry.metrics import Metrics
from service.wiring.parts import SCREENER, SHIPPER, clock, journal_root


def store_watch_of(
    settings: Settings, store: Store, journal: Journal, peppers: Sequence[bytes]
) -> StoreWatch:
    """Return the watch of a store whose keys must have been made under one of these peppers."""

    def prepare(may_be_new: bool) -> None:
        store.prepare(may_be_new=may_be_new)
        pepper_in_use(store, peppers)

    copy = LocalCopy(settings.data_dir / "store-copy" / journal.log, peppers)
    return StoreWatch(
        store,
        prepare,
        copy,
        poll_s=settings.store.poll_s,
        peppers=frozenset(map(pepper_id, peppers)),
        clock=clock,
    )


def watch_of(
    settings: Settings,
    board: SafeguardBoard,
    store_watch: StoreWatch,
    journal: Journal,
    metrics: Metrics,
) -> SafeguardWatch:
    """Return the watch of the safeguards that the models' tiers require."""
    kafka = isinstance(settings.event_log, KafkaLog)
    group = Group(groups_folder(journal_root(settings)), SHIPPER if kafka else SCREENER)
    return SafeguardWatch(
        board=board,
        store=store_watch,
        journal=journal,
        group=group,
        unread_since=_unread_since(journal_root(settings) / journal.log, group),
        screener_reads_kafka=kafka,
        staleness_bounds_s=staleness_bounds(settings.store.max_staleness_s),
        metrics=metrics,
        clock=clock,
    )


def _unread_since(folder: Path, group: Group) -> float | None:
    """Return when the oldest record came that a group has yet to acknowledge."""
    oldest = oldest_unread(folder, group.load().get(folder.name))
    if oldest is None:
        return None
    try:
        return made_at(oldest.record)
    except BadRecord:  # no age is known: as old as can be
        return 0.0
