"""How often the audit log is anchored, and how old what a gateway's journal holds is."""

from pathlib import Path

import pytest

from service.events.audit import Denied
from service.events.audit import to_record as to_audit_record
from service.events.journal import Journal, Limits
from service.events.journal.groups import Group, groups_folder
from service.events.log import Record, Topic
from service.settings import Settings
from service.wiring.watches import _unread_since
from service.wiring.workers import _anchor_every_s

KAFKA = {"kind": "kafka", "bootstrap_servers": ["127.0.0.1:9092"]}


@pytest.mark.parametrize(
    ("kept_s", "log", "expected_s"),
    [
        (7 * 86_400.0, {"kind": "journal"}, 86_400.0),
        (86_400.0, {"kind": "journal"}, 21_600.0),
        (0.0, {"kind": "journal"}, 60.0),
        (7 * 86_400.0, {**KAFKA, "retention_s": 3600}, 900.0),
        (3600.0, {**KAFKA, "retention_s": 86_400}, 900.0),
    ],
)
def test_the_event_log_always_holds_some_anchors(
    kept_s: float, log: dict[str, object], expected_s: float
) -> None:
    settings = Settings.model_validate(
        {"upstreams": [], "models": [], "journal": {"keep_s": kept_s}, "event_log": log}
    )
    assert _anchor_every_s(settings) == expected_s


def test_a_refusal_that_nobody_has_read_is_as_old_as_it_is(tmp_path: Path) -> None:
    denied = Denied(
        id="dn-1",
        at=1234.5,
        key="key_1",
        project="acme",
        account="acme",
        model="m",
        surface="chat",
        reasons=(),
        count=1,
        first_at=1.0,
        last_at=1.0,
    )
    group = Group(groups_folder(tmp_path), "screener")
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=Limits(reserve_bytes=2**20))
    assert _unread_since(folder, group) is None
    (position,) = journal.append_all([to_audit_record(denied)])
    assert _unread_since(folder, group) == 1234.5
    group.save({"gateway-0": position})
    journal.append_all([Record(Topic.EXCHANGES, b"a", "opened", "ex-1", b"{")])
    assert _unread_since(folder, group) == 0.0
    journal.close()
