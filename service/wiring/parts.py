"""The parts that processes share, made from the settings."""

import logging
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from service.core.points import IGNORED, Count, PointSource
from service.events.journal import Journal, JournalReader, Limits, Slot, take_slot
from service.events.journal.pending import Announce, announce_nothing
from service.events.kafka.config import KafkaConfig, KafkaSecurity
from service.events.kafka.reader import KafkaReader
from service.events.log import Durability, EventReader, Topic
from service.events.schema import interrupted, to_record
from service.settings import KafkaLog, Settings
from service.store import Store
from service.store.engine import UNREACHABLE
from service.telemetry.metrics import Metrics
from service.telemetry.processes import this_process

GATEWAY = "gateway"
SCREENER = "screener"
ENFORCER = "enforcer"
COVERAGE = "coverage"
AUDITOR = "auditor"
SHIPPER = "shipper"
CONSOLE = "console"

clock = time.time
_log = logging.getLogger(__name__)
_STORE_PAUSE_S = 1.0
_MAX_NAMED = 20


def journal_root(settings: Settings) -> Path:
    """Return the folder of all journals."""
    return settings.data_dir / "journal"


def journal_groups(settings: Settings) -> Sequence[str]:
    """Name the groups that read the journals: over Kafka the shipper alone does."""
    if isinstance(settings.event_log, KafkaLog):
        return (SHIPPER,)
    return (SCREENER, ENFORCER, COVERAGE, AUDITOR)


def journal_limits(settings: Settings) -> Limits:
    """Return the journal's limits as the journal takes them."""
    journal = settings.journal
    return Limits(
        segment_bytes=journal.segment_bytes,
        max_bytes=journal.max_bytes,
        reserve_bytes=journal.reserve_bytes,
        max_queue_bytes=journal.max_queue_bytes,
        keep_s=journal.keep_s,
    )


@contextmanager
def own_journal(
    settings: Settings, role: str, announce: Announce = announce_nothing
) -> Iterator[Journal]:
    """Open a journal of this role, with whatever dead processes of the role left ended."""
    limits, groups = journal_limits(settings), journal_groups(settings)

    def end_orphan(slot: Slot) -> None:
        orphan = Journal(slot.folder, limits=limits, groups=groups)
        end_interrupted(orphan)
        orphan.close()

    slot = take_slot(journal_root(settings), role, end_orphan)
    try:
        journal = Journal(slot.folder, limits=limits, groups=groups, announce=announce)
        end_interrupted(journal)
        try:
            yield journal
        finally:
            journal.close()
    finally:
        slot.release()


def end_interrupted(journal: Journal) -> None:
    """Record, for each exchange that a dead process left open, that it was interrupted."""
    for exchange in journal.open_exchanges():
        closed = interrupted(exchange.body, exchange.position, clock())
        journal.append(to_record(closed), Durability.SYNCED, ends=True)


def reader_of(
    settings: Settings, group: str, topics: Collection[Topic], journal: Journal
) -> EventReader:
    """Return what a worker's group reads from: the journals themselves, or Kafka.

    `journal` is the worker's own: its lock makes sure that no other process is the same member.
    """
    log = settings.event_log
    if isinstance(log, KafkaLog):
        member = _member(settings, journal)
        return KafkaReader(kafka_config(log), f"watchgate-{group}", topics, member=member)
    return JournalReader(
        journal_root(settings), group, topics, batch_records=settings.screening.batch_records
    )


def _member(settings: Settings, journal: Journal) -> str:
    """Name the process that holds a journal, also beside other installations and machines."""
    installation = zlib.crc32(bytes(settings.data_dir))
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())
    return f"{host}-{installation:08x}-{journal.log}"


def kafka_config(log: KafkaLog) -> KafkaConfig:
    """Return the settings of Kafka as the event log takes them."""
    security = log.security
    return KafkaConfig(
        bootstrap_servers=log.bootstrap_servers,
        security=KafkaSecurity(
            protocol=security.protocol,
            sasl_mechanism=security.sasl_mechanism,
            username=security.username,
            password=security.password.get_secret_value() if security.password else None,
            ca_file=_text(security.ca_file),
            cert_file=_text(security.cert_file),
            key_file=_text(security.key_file),
        ),
        topics={
            Topic.EXCHANGES: log.topics.exchanges,
            Topic.VERDICTS: log.topics.verdicts,
            Topic.DEAD_LETTERS: log.topics.dead_letters,
            Topic.AUDIT: log.topics.audit,
        },
        partitions=log.partitions,
        replication_factor=log.replication_factor,
        retention_s=log.retention_s,
        max_message_bytes=log.max_message_bytes,
    )


def make_metrics(role: str) -> tuple[CollectorRegistry, Metrics]:
    """Return the registry of a process of this role, which starts now, and the metrics in it."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    registry.register(this_process(role))
    metrics.upkeep.process_started_at.labels(role).set(clock())
    return registry, metrics


def counted_points(metrics: Metrics) -> Count:
    """Return what counts points, by where they were set and what becomes of them.

    Which ones are ignored is logged whenever that changes: a metric could not name them.
    """
    told: dict[PointSource, Sequence[str]] = {}

    def count(source: PointSource, state: str, ids: Sequence[str]) -> None:
        metrics.operating_points.labels(source, state).set(len(ids))
        if state == IGNORED and ids != told.get(source, []):
            told[source] = ids
            which = ", ".join(ids[:_MAX_NAMED]) or "none"
            _log.warning("operating points of the %s that are ignored here: %s", source, which)

    return count


def is_supervised() -> bool:
    """Say whether `watchgate up` merges this process's metrics with those of others."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def is_prepared(store: Store) -> bool:
    """Prepare the store for use; False: it is away.

    Raises:
        ConfigError: the database was made by a newer version of Watchgate.
    """
    try:
        store.prepare()
    except UNREACHABLE as error:
        _log.warning("the store cannot be used: %s", type(error).__name__)
        return False
    return True


def prepare_later(store: Store, stop: threading.Event) -> None:
    """Prepare a store that is away once it is there, unless told to stop before that."""
    while not (stop.wait(_STORE_PAUSE_S) or is_prepared(store)):
        pass
