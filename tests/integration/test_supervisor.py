"""`watchgate up` with all its processes."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.events.schema import Closed, Opened
from tests.real_parts.installation import Installation, installation
from tests.real_parts.serving import until


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("up")) as running:
        yield running


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_is_served_is_recorded_and_screened(one: Installation) -> None:
    served = [one.chat("How do plants drink?", stream=n % 2 == 1) for n in range(6)]
    kinds = ("served", "recorded", "screened")

    def counts() -> set[float]:
        return {one.metric(f"watchgate_exchanges_{kind}_total") for kind in kinds}

    until(lambda: len(counts()) == 1 and min(counts()) >= len(served), 30)
    assert one.metric("watchgate_coverage_gap_exchanges") == 0
    completed = {(v.exchange_id, v.part) for v in one.verdicts() if v.completes}
    assert {(id_, part) for id_ in served for part in ("prompt", "answer")} <= completed


def test_each_process_shows_its_start_and_each_that_appends_the_room_of_its_journal(
    one: Installation,
) -> None:
    appending = {"gateway", "screener", "enforcer"}

    def showing(metric: str) -> set[str]:
        return {role for role in (*appending, "console") if one.metric(metric, role=role) > 0}

    until(lambda: showing("watchgate_journal_used_ratio") == appending)
    assert showing("watchgate_process_start_timestamp_seconds") == appending | {"console"}


def test_a_receipt_shows_both_records_and_the_verdicts_without_what_was_said(
    one: Installation,
) -> None:
    exchange_id = one.chat("a sentence that no receipt shows")
    verdicts = 6  # of two detectors on prompt, answer and exchange
    until(lambda: sum(v.exchange_id == exchange_id for v in one.verdicts()) == verdicts)
    shown = one.command("receipts", "show", exchange_id)
    assert shown.returncode == 0
    kinds = [entry["event"]["kind"] for entry in json.loads(shown.stdout)["records"]]
    assert kinds == ["opened", "closed", *["verdict"] * verdicts]
    assert "no receipt shows" not in shown.stdout + one.words()


def test_a_second_one_on_the_same_folder_is_refused(one: Installation) -> None:
    refused = one.command("up")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"watchgate: data_dir: another `watchgate up` runs on {one.data_dir}\n"
    )
    assert one.is_ready()


def test_the_death_of_one_process_shows_and_heals(one: Installation) -> None:
    before = one.metric("watchgate_exchanges_served_total")
    old = one.kill("gateway")
    until(lambda: one.ready()[0] == 503)
    _, answer = one.ready()
    assert {"code": "not_running", "message": "gateway does not answer", "model": None} in (
        answer["reasons"]
    )
    one.wait_restarted("gateway", old)
    one.chat("still there?")
    until(lambda: one.metric("watchgate_exchanges_served_total") == before + 1)


def test_a_gateway_killed_in_mid_stream_leaves_evidence_and_its_heir_ends_the_exchange(
    one: Installation,
) -> None:
    connection, answer = one.open_chat("a long story", model="slow", stream=True)
    exchange_id = answer.headers["x-watchgate-receipt"]
    assert answer.read(10)
    old = one.kill("gateway")
    assert [type(event) for event in one.of_exchange(exchange_id)] == [Opened]
    connection.close()
    one.wait_restarted("gateway", old)
    _, closed = one.of_exchange(exchange_id)
    assert isinstance(closed, Closed)
    assert closed.outcome == "interrupted"
    until(
        lambda: (
            {v.part for v in one.verdicts() if v.exchange_id == exchange_id} == {"prompt", "answer"}
        )
    )
    reasons = {v.unscanned for v in one.verdicts() if v.exchange_id == exchange_id}
    assert reasons == {None, "interrupted"}


def test_counters_go_on_where_a_dead_process_left_them(one: Installation) -> None:
    one.chat("before")
    before = one.metric("watchgate_exchanges_screened_total", model="fast")
    old = one.kill("enforcer")
    one.wait_restarted("enforcer", old)
    assert one.metric("watchgate_exchanges_screened_total", model="fast") >= before


def test_sigterm_ends_everything_within_the_drain(tmp_path: Path) -> None:
    with installation(tmp_path) as one:
        connection, answer = one.open_chat("a long story", model="slow", stream=True)
        assert answer.read(10)
        pids = [*one.pids().values()]
        assert one.stop() == 0
        assert not any(map(alive, pids))
        connection.close()


def test_children_end_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with installation(tmp_path) as one:
        assert one.process is not None
        pids = [*one.pids().values()]
        assert len(pids) == 4
        left_behind = (one.data_dir / "up.lock").read_text()
        os.kill(one.process.pid, signal.SIGKILL)
        one.process.wait()
        until(lambda: not any(map(alive, pids)), 60)
        one.start()
        assert not Path(left_behind).exists()
        one.chat("and on it goes")


def test_a_port_that_is_taken_is_named_at_once(tmp_path: Path) -> None:
    one = Installation(tmp_path, upstream_port=9)
    for name in ("gateway", "console", "ops"):
        with socket.create_server(("127.0.0.1", one.ports[name])):
            refused = one.command("up")
        assert refused.returncode == 1
        address = f"127.0.0.1:{one.ports[name]}"
        assert refused.stderr == (
            f"watchgate: {name}.port: cannot listen on {address}: Address already in use\n"
        )


def test_a_gateway_alone_says_that_its_port_is_taken(tmp_path: Path) -> None:
    one = Installation(tmp_path, upstream_port=9, ops={"ports": {"gateway": 0}})
    with socket.create_server(("127.0.0.1", one.ports["gateway"])):
        refused = one.command("gateway")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("watchgate: gateway.port: cannot listen on")


def test_a_child_that_never_starts_well_is_not_started_for_ever(tmp_path: Path) -> None:
    one = Installation(tmp_path, upstream_port=9)
    (one.data_dir).mkdir()
    (one.data_dir / "journal").write_text("no folder")
    refused = one.command("up")
    assert refused.returncode == 1
    assert "does not start: giving up" in refused.stderr
    assert "Traceback" not in refused.stderr.splitlines()[-1]


def test_wrong_settings_of_a_child_end_everything_with_their_exit_code(tmp_path: Path) -> None:
    one = Installation(tmp_path, upstream_port=9, auth={"pepper": "sixteen bytes and more"})
    made = one.command("keys", "create", "--project", "p")
    assert made.returncode == 0
    settings = json.loads(one.config.read_text())
    one.config.write_text(json.dumps(settings | {"auth": {"pepper": "another of such a length"}}))
    refused = one.command("up")
    assert refused.returncode == 2
    assert "auth.pepper" in refused.stderr
