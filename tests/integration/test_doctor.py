"""`watchgate doctor` as its user runs it."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from service.core.perimeter import ROUTES
from tests.real_parts.kafka_broker import free_port
from tests.real_parts.vllm_like import VllmLike
from tests.real_parts.watchgate import Watchgate

SMALL = {"max_bytes": 4 * 2**20, "segment_bytes": 2**20, "reserve_bytes": 2**20}


def tree(folder: Path) -> dict[str, tuple[int, float, int]]:
    """Return mode, time and size of every file, the access time aside."""
    stats = {str(it): it.stat() for it in folder.rglob("*")}
    return {name: (it.st_mode, it.st_mtime, it.st_size) for name, it in stats.items()}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run it, and return the exit code and what it found."""
    code = main(["doctor", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_an_installation_that_runs_well_is_well_and_says_what_is_wrong_once_it_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with VllmLike(models=("smollm2",)) as vllm:
        watchgate = Watchgate(tmp_path, vllm.url, journal=SMALL)
        watchgate.create_key("acme")
        with watchgate:
            code, found = run(capsys, "--config", str(watchgate.config))
            gateway_pid = watchgate.pid("gateway")
        assert [it for it in found if it["status"] != "ok"] == []
        assert code == 0
        told = {it["check"]: it["found"] for it in found}
        assert told["data_dir: journal gateway-0"] == f"process {gateway_pid} writes it"
        assert told["processes: gateway"] == "it asks for a key"
        assert all(set(it) == {"check", "status", "found", "to_do"} for it in found)
    before = tree(tmp_path)
    code, found = run(capsys, "--config", str(watchgate.config))
    wrong = {it["check"]: it["status"] for it in found if it["status"] != "ok"}
    assert code == 1
    assert wrong == {
        "processes: ops ports": "could-not-check",
        f"upstream local {vllm.url}: answers": "problem",
    }
    assert all(it["to_do"] for it in found if it["status"] != "ok")
    assert tree(tmp_path) == before


def test_outside_alone_needs_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    dead = f"http://127.0.0.1:{free_port()}"
    code, found = run(capsys, "--outside", dead)
    assert (code, [it["check"] for it in found]) == (0, [f"outside {dead}: every path"])
    with VllmLike() as vllm:
        code, found = run(capsys, "--outside", vllm.url, "--outside", dead)
    assert code == 1
    assert len(found) == len(ROUTES) + 1
    assert list(tmp_path.iterdir()) == []


def test_for_people_what_was_found_alike_is_one_line_and_problems_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with VllmLike() as vllm:
        assert main(["doctor", "--outside", vllm.url]) == 1
    first, *lines, counts = capsys.readouterr().out.splitlines()
    assert first == f"outside {vllm.url}"
    assert lines[0].startswith("  problem          /invocations, ")
    assert lines[1].startswith("                   to do: ")
    assert lines[-1].startswith("  ok               ")
    assert "not there (404)" in lines[-1]
    assert counts.endswith(" could-not-check")


@pytest.mark.parametrize(
    "address", ["203.0.113.7:8000", "ftp://host", "http://", "http://u:p@host", "http://host?x=1"]
)
def test_what_is_no_address_is_wrong_usage(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--outside", address])
    assert end.value.code == 2
    assert "http://203.0.113.7:8000" in capsys.readouterr().err


def test_without_settings_and_addresses_it_says_which_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 2
    monkeypatch.setenv("WATCHGATE_CONFIG", str(tmp_path / "named.yaml"))
    assert main(["doctor", "--outside", "http://127.0.0.1:1"]) == 2
    assert "named.yaml" in capsys.readouterr().err
