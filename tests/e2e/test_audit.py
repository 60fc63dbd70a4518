"""The audit log of a whole installation: what comes into it, and that changes of it are found."""

import contextlib
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.cli import main
from service.events.audit import Denied, to_record
from service.settings import load
from service.wiring.parts import own_journal
from service.workers.loop import REPLAY
from tests.e2e.evidence import CATCH_UP_S
from tests.e2e.traffic import request
from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.serving import RawClient
from tests.real_parts.watchgate import Watchgate

TRIGGERS = ("audit_no_update", "audit_no_delete", "audit_appends")


def refusal(number: int) -> Denied:
    return Denied(
        id=f"dn-boot-{number}",
        at=1.0,
        key="key_of_somebody",
        project="acme",
        account="acme",
        model="smollm2",
        surface="chat",
        reasons=("address_not_allowed", "model_not_allowed"),
        count=12,
        first_at=0.5,
        last_at=0.9,
    )


def refuse(watchgate: Watchgate, *numbers: int) -> None:
    """Append refusals as a gateway does."""
    with own_journal(load(watchgate.config), REPLAY) as journal:
        journal.append_all([to_record(refusal(number)) for number in numbers])


def verify(watchgate: Watchgate, *arguments: str) -> dict[str, Any]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        words = ["audit", "verify", "--json", *arguments, "--config", str(watchgate.config)]
        code = main(words)
    report: dict[str, Any] = json.loads(printed.getvalue())
    assert report["ok"] == (code == 0)
    return report


def is_whole(watchgate: Watchgate, entries: int) -> bool:
    report = verify(watchgate)
    return bool(report["ok"] and report["anchors"]["up_to"] == entries == report["entries"])


def exported(watchgate: Watchgate) -> list[dict[str, Any]]:
    return [json.loads(line) for line in watchgate.command("audit", "export").splitlines()]


@contextmanager
def database(watchgate: Watchgate) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(watchgate.folder / "watchgate.db", timeout=10)
    yield connection
    connection.commit()
    connection.close()


def last_used(watchgate: Watchgate) -> float | None:
    with database(watchgate) as connection:
        used: float | None = connection.execute("SELECT max(last_used_at) FROM keys").fetchone()[0]
    return used


def count(watchgate: Watchgate, action: str) -> int:
    with database(watchgate) as connection:
        found: int = connection.execute(
            "SELECT count(*) FROM audit WHERE action = ?", (action,)
        ).fetchone()[0]
    return found


def test_refusals_and_exports_are_in_the_log_and_whoever_changes_it_is_found(
    mock_vllm: str, tmp_path: Path
) -> None:
    watchgate = Watchgate(tmp_path, mock_vllm)
    key = watchgate.create_key("acme")
    with watchgate, RawClient(watchgate.port) as client:
        client.send(request(key, "What is the capital of France?"))
        assert client.answer()[0] == 200
        wait_until(lambda: last_used(watchgate), CATCH_UP_S, "the key's use is known")
        assert (last_used(watchgate) or 0) % 3600 == 0

        refuse(watchgate, 1, 2, 1)
        wait_until(lambda: count(watchgate, "access.denied") == 2, CATCH_UP_S, "they are told")
        entries = exported(watchgate)
        denied = [it for it in entries if it["action"] == "access.denied"]
        assert [it["object"] for it in denied] == ["key/key_of_somebody"] * 2
        assert denied[0]["actor"] == "gateway"
        assert denied[0]["after"]["reasons"] == ["address_not_allowed", "model_not_allowed"]
        assert entries[-1]["action"] == "audit.export"
        total = len(entries)
        wait_until(lambda: is_whole(watchgate, total), CATCH_UP_S, "the log is anchored")
        wait_until(
            lambda: watchgate.metrics().total("audit_head_seq") == total, CATCH_UP_S, "it shows"
        )
        assert watchgate.metrics().total("audit_log_breaks_total") == 0

        watchgate.kill("enforcer")
        watchgate.wait_ready()
        refuse(watchgate, 2, 3)
        wait_until(lambda: count(watchgate, "access.denied") == 3, CATCH_UP_S, "one is new")
        wait_until(lambda: is_whole(watchgate, total + 1), CATCH_UP_S, "the log is anchored")

        with database(watchgate) as connection:
            for trigger in TRIGGERS:
                connection.execute(f"DROP TRIGGER {trigger}")
            connection.execute("DELETE FROM audit WHERE seq > 1")
            connection.execute("UPDATE audit SET actor = 'cli:nobody' WHERE seq = 1")
        report = verify(watchgate)
        assert [(it["fault"], it["first"], it["last"]) for it in report["findings"]] == [
            ("changed", 1, 1),
            ("cut", 2, total + 1),
        ]
        assert report["findings"][1]["anchor"]["where"].startswith("enforcer-0/")
        wait_until(
            lambda: watchgate.metrics().total("audit_log_breaks_total"), CATCH_UP_S, "it is noticed"
        )

        refuse(watchgate, 4, 5, 6, 7, 8, 9)  # and the log goes on where it was cut
        wait_until(lambda: count(watchgate, "access.denied") >= 6, CATCH_UP_S, "they are told")
        assert "rewritten" in [it["fault"] for it in verify(watchgate)["findings"]]
