"""What is to be seen to in time: delays, room, what ends, and the processes themselves."""

from scripts.dashboards.board import Section
from scripts.dashboards.panels import AnyPanel, Limits, Query, Words, series, to_docs
from scripts.dashboards.promql import MODEL, lately, named, newest, or_zero, quantile, rate

_DAY_S = 86_400


def upkeep() -> list[Section]:
    """Return the sections."""
    return [
        Section("How late is it, and what is found?", _delays()),
        Section("What will run out", _ends()),
        Section("The processes", _processes()),
    ]


def _delays() -> list[AnyPanel]:
    return [
        series(
            Words(
                "Screened after, p99",
                "From an exchange's end to its last verdict, by model. The objective is the "
                "tier's bound: 60 s for tier 2, 300 s for tier 1.",
                "s",
            ),
            Query(quantile(0.99, "screening_delay_seconds", MODEL, by="model"), "{{model}}"),
            limits=Limits(orange=30, red=60),
            links=[to_docs("Objectives", "operations", "objectives")],
        ),
        series(
            Words(
                "Behind, by group",
                "Age of the oldest record that a group of workers has at hand.",
                "s",
            ),
            Query(newest("consumer_lag_seconds", by="group"), "{{group}}"),
            limits=Limits(orange=30, red=300),
        ),
        series(
            Words(
                "Verdicts flagged",
                "Those that crossed an operating point, by model and by the gravest action.",
                "suffix: /s",
            ),
            Query(rate("flagged_total", MODEL, by="model, action"), "{{model}}: {{action}}"),
            links=[to_docs("Operating points", "points")],
        ),
    ]


def _ends() -> list[AnyPanel]:
    return [
        series(
            Words(
                "Room for the journals",
                "Used share of a journal's limit, by role; at 1 the process takes nothing new.",
                "percentunit",
            ),
            Query(newest("journal_used_ratio", by="role"), "{{role}}"),
            width=6,
            limits=Limits(orange=0.8, red=0.95),
        ),
        series(
            Words(
                "Room on the disk", "Free share of the disk that holds a journal.", "percentunit"
            ),
            Query(f"min by (role) ({named('journal_disk_free_ratio')})", "{{role}}"),
            width=6,
            limits=Limits(orange=0.05, green=0.15, otherwise="red"),
        ),
        series(
            Words("Certificates end in", "As read when their process was started.", "s"),
            Query(
                f"min by (certificate) ({named('certificate_expiry_timestamp_seconds')}) - time()",
                "{{certificate}}",
            ),
            width=6,
            limits=Limits(orange=2 * _DAY_S, green=21 * _DAY_S, otherwise="red"),
        ),
        series(
            Words(
                "Ends within a week",
                "API keys in use, admin tokens, and operating points of the store.",
            ),
            Query(newest("expiring", by="kind"), "{{kind}}"),
            width=6,
            limits=Limits(orange=1),
            links=[to_docs("Keys", "keys")],
        ),
    ]


def _processes() -> list[AnyPanel]:
    used, most = named("process_open_fds"), named("process_max_fds")
    started = newest("process_start_timestamp_seconds", by="role")
    return [
        series(
            Words("Processor time", "Cores in use, by process.", "none"),
            Query(rate("process_cpu_seconds_total", by="process"), "{{process}}"),
            width=6,
        ),
        series(
            Words("Memory", "Resident, by process.", "bytes"),
            Query(newest("process_resident_memory_bytes", by="process"), "{{process}}"),
            width=6,
        ),
        series(
            Words("Open files", "Share of what a process may have open.", "percentunit"),
            Query(f"max by (process) ({used} / {most})", "{{process}}"),
            width=6,
            limits=Limits(orange=0.7, red=0.9),
        ),
        series(
            Words(
                "Event loop late, p99",
                "How late the gateway comes to a timer: what blocks it delays every request.",
                "s",
            ),
            Query(quantile(0.99, "event_loop_lag_seconds"), "p99"),
            width=6,
            limits=Limits(orange=0.05, red=0.25),
        ),
        series(
            Words("Running for", "Since the latest process of a role was started.", "s"),
            Query(f"time() - {started}", "{{role}}"),
        ),
        series(
            Words("Versions", "Processes by version: two while an upgrade is under way."),
            Query(f"count by (version) ({named('build_info')})", "{{version}}"),
        ),
        series(
            Words(
                "Spans of traces",
                "Sampled spans, by what became of them. Those dropped or failed are lost; "
                "requests never wait for them.",
                "none",
            ),
            Query(or_zero(lately("trace_spans_total", by="outcome"), outcome="none"),
                  "{{outcome}}"),
            links=[to_docs("Traces", "tracing")],
        ),
    ]  # fmt: skip
