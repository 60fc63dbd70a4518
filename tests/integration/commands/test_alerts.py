import argparse
import json
from pathlib import Path

import pytest

from service.commands import alerts
from service.core.alerts import Delivery, Occurrence, labels_of
from service.store import open_store
from service.store.alerts import raise_alerts, save_deliveries, settle

NOW = 1_700_000_000.0
URL = "http://127.0.0.1:9093"
LABELS = labels_of("m", "lexical", "any", "prompt", "lexical/any/prompt/page", enforced="observed")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a store with one alert that fires and one that was resolved."""
    path = tmp_path / "watchgate.yaml"
    path.write_text(
        'upstreams: [{name: local, url: "http://127.0.0.1:8000"}]\n'
        "models: [{name: m, upstream: local, tier: 1}]\n"
    )
    store = open_store(f"sqlite:///{tmp_path}/var/watchgate.db")
    with store.begin() as connection:
        raise_alerts(connection, [Occurrence(LABELS, "ex-1", NOW, 0.99, 0.97)], NOW)
        settle(connection, [URL], quiet_since=NOW, now=NOW + 1)
        told = Delivery(1, URL, NOW, firing_acked_at=NOW, resolved_acked_at=NOW)
        save_deliveries(connection, [told])
        raise_alerts(connection, [Occurrence(LABELS, "ex-2", NOW + 2, 0.98, 0.97)], NOW + 2)
        settle(connection, [URL], quiet_since=NOW, now=NOW + 2)
    store.close()
    return path


def run(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    parser = argparse.ArgumentParser("watchgate")
    alerts.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["alerts", "list", "--config", str(config), *words])
    assert args.run(args) == 0
    return capsys.readouterr().out


def test_what_fires_is_listed_with_who_was_told(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(run(config, capsys, "--json")) == [
        {
            "id": 2,
            "state": "firing",
            "labels": LABELS,
            "count": 1,
            "since": "2023-11-14T22:13:22Z",
            "last": "2023-11-14T22:13:22Z",
            "resolved_at": None,
            "exchange": "ex-2",
            "score": 0.98,
            "threshold": 0.97,
            "deliveries": [{"url": URL, "acknowledged": None, "failures": 0, "error": None}],
        }
    ]


def test_resolved_ones_are_listed_when_asked_for(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second, first = json.loads(run(config, capsys, "--json", "--all"))
    assert (second["state"], first["state"]) == ("firing", "resolved")
    assert first["resolved_at"] == "2023-11-14T22:13:21Z"
    assert first["deliveries"][0]["acknowledged"] == "resolved"


def test_people_get_columns(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heading, firing, resolved = run(config, capsys, "--all").splitlines()
    assert heading.split() == ["STATE", "COUNT", "SINCE", "LAST", "ALERT", "TOLD"]
    assert firing.startswith("firing")
    assert firing.endswith("0 of 1")
    assert 'category="any"' in firing
    assert resolved.startswith("resolved")
    assert resolved.endswith("1 of 1")


def test_the_alerts_of_one_point_are_listed(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(run(config, capsys, "--all", "--json", "--point", LABELS["point"]))

    assert [it["exchange"] for it in found] == ["ex-2", "ex-1"]


def test_of_a_point_without_alerts_it_is_said_which_points_raise_some(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser("watchgate")
    alerts.add_parser(parser.add_subparsers(required=True))
    words = ["alerts", "list", "--config", str(config), "--json", "--point", "op_none"]
    args = parser.parse_args(words)
    assert args.run(args) == 0

    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert "no alerts of op_none: only points whose action is page or block" in printed.err
    assert "--all" in printed.err
