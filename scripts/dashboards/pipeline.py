"""After the answer: journal, workers, coverage, alerts, audit log, Kafka."""

from scripts.dashboards import board, shared
from scripts.dashboards.board import Board, Section, model_choice
from scripts.dashboards.panels import (
    ANY_IS_BAD,
    AnyPanel,
    Limits,
    Query,
    Words,
    heat,
    number,
    series,
    to_board,
    to_docs,
)
from scripts.dashboards.promql import (
    MODEL,
    buckets,
    lately,
    named,
    newest,
    or_unknown,
    or_zero,
    quantile,
    rate,
    total,
)
from scripts.dashboards.upkeep import upkeep


def pipeline() -> Board:
    """Return the dashboard of what happens to records."""
    return Board(
        board.PIPELINE,
        "Watchgate / Pipeline",
        "From the record to the verdict, the alert and the audit log: is all of it there, and "
        "how far behind is it?",
        [
            Section("Is every answer covered?", _coverage()),
            Section("The journal", _journal()),
            Section("The workers", _workers()),
            Section("Alerts and the audit log", _effects()),
            Section("Kafka (where it is the event log)", _kafka()),
            *upkeep(),
        ],
        [model_choice()],
    )


def _coverage() -> list[AnyPanel]:
    gap = newest("coverage_gap_exchanges", MODEL, by="model, kind")
    return [
        series(
            Words(
                "Coverage gap",
                "Exchanges served and not recorded, or not screened within the tier's bound. "
                "0 for every model and kind.",
                "none",
            ),
            Query(gap, "{{model}}: {{kind}}"),
            limits=ANY_IS_BAD,
            links=[to_docs("Receipts", "receipts")],
        ),
        series(
            Words(
                "Served, recorded, screened",
                "Three lines on each other. Screened may lag by what the workers are behind; a "
                "lasting distance becomes a coverage gap.",
                "suffix: /s",
            ),
            *(
                Query(rate(f"exchanges_{it}_total", MODEL), it)
                for it in ("served", "recorded", "screened")
            ),
        ),
        shared.left_unscored(MODEL),
    ]


def _journal() -> list[AnyPanel]:
    return [
        series(
            Words(
                "Size of the journals",
                "Over `journal.max_bytes` of the settings new requests are refused. It falls "
                "when all who read have acknowledged a segment.",
                "bytes",
            ),
            Query(f"sum({named('journal_bytes')})", "all journals"),
            width=6,
            links=[to_docs("When something is away", "operations", "when-something-is-away")],
        ),
        series(
            Words(
                "Oldest record not acknowledged",
                "By any group that reads the journal. That it grows means that a worker, or "
                "Kafka, is away.",
                "s",
            ),
            Query(newest("journal_oldest_unshipped_seconds"), "oldest"),
            width=6,
            limits=Limits(orange=60, red=300),
        ),
        shared.time_to_record(6),
        heat(
            Words(
                "Records by the time to write them",
                "Two bands are two levels: written and synced. A band that climbs is the disk.",
                "s",
            ),
            buckets("journal_append_seconds"),
            width=6,
        ),
    ]


def _workers() -> list[AnyPanel]:
    return [
        series(
            Words(
                "Screening lag",
                "Age of the oldest record that is not known to be screened. Over the tier's bound "
                "(60 s for tier 2, 300 s for tier 1) the model is refused.",
                "s",
            ),
            Query(newest("screening_lag_seconds"), "lag"),
            limits=Limits(orange=30, red=60),
            links=[to_docs("Tiers", "tiers")],
        ),
        series(
            Words(
                "Records waiting, by group",
                "Synced records that a group has not read, and the topic.",
                "none",
            ),
            Query(newest("consumer_lag_records", by="group, topic"), "{{group}}: {{topic}}"),
        ),
        series(
            Words(
                "Scoring a batch, p99 by detector",
                "What the screener waits for. If this and the lag grow together, run more "
                "screeners or give the dear detector a band.",
                "s",
            ),
            Query(quantile(0.99, "detector_seconds", by="detector"), "{{detector}}"),
            links=[to_board("Detectors", board.DETECTORS)],
        ),
        series(
            Words(
                "Dead letters",
                "Records that a worker could not handle. They are kept: "
                "`watchgate dead-letters list`.",
                "none",
            ),
            Query(
                or_zero(
                    lately("dead_letters_total", by="topic, reason"), topic="none", reason="none"
                ),
                "{{topic}}: {{reason}}",
            ),
            width=12,
            limits=ANY_IS_BAD,
            links=[to_docs("Commands", "commands")],
        ),
        series(
            Words("Detectors that failed", "Batches, by detector.", "suffix: /s"),
            Query(or_zero(rate("detector_errors_total", by="detector"), detector="none"),
                  "{{detector}}"),
            width=12,
            links=[to_board("Detectors", board.DETECTORS)],
        ),
    ]  # fmt: skip


def _effects() -> list[AnyPanel]:
    return [
        shared.what_was_done(6),
        series(
            Words(
                "Alerts told to Alertmanagers",
                "Attempts, by how they ended. What failed waits in the outbox and is tried again.",
                "suffix: /h",
            ),
            Query(
                or_zero(f"3600 * {rate('alert_deliveries_total', by='outcome')}", outcome="none"),
                "{{outcome}}",
            ),
            width=6,
            links=[to_docs("Alerts", "alerts")],
        ),
        number(
            Words("Audit log's last entry", "Its number: it only grows."),
            Query(or_unknown(newest("audit_head_seq")), "number"),
            height=8,
            decimals=0,
            links=[to_docs("Audit log", "audit")],
        ),
        number(
            Words(
                "Audit log anchored",
                "Since its head was told to the event log. Over 100,000 s the enforcer does not "
                "do so.",
                "s",
            ),
            Query(or_unknown(newest("audit_anchor_age_seconds")), "ago"),
            height=8,
            limits=Limits(orange=90_000, red=100_000),
            links=[to_docs("Audit log", "audit")],
        ),
        number(
            Words(
                "Breaks of the audit log",
                "In the time shown: entries were changed, cut off or put in. "
                "`watchgate audit verify` says where.",
            ),
            Query(or_zero(total("audit_log_breaks_total")), "breaks"),
            height=8,
            decimals=0,
            limits=ANY_IS_BAD,
            links=[to_docs("Audit log", "audit")],
        ),
    ]


def _kafka() -> list[AnyPanel]:
    return [
        series(
            Words(
                "Shipped",
                "Records that Kafka acknowledged, by topic; 0 without Kafka.",
                "suffix: /s",
            ),
            Query(or_zero(rate("shipped_records_total", by="topic"), topic="none"), "{{topic}}"),
            width=12,
            links=[to_docs("Kafka", "kafka")],
        ),
        series(
            Words(
                "Shipper started over",
                "Failures, by reason. Nothing is lost: the journal grows and is "
                "shipped later.",
                "none",
            ),
            Query(or_zero(lately("ship_errors_total", by="reason"), reason="none"),
                  "{{reason}}"),
            width=12,
            limits=Limits(orange=1),
            links=[to_docs("Kafka", "kafka")],
        ),
    ]  # fmt: skip
