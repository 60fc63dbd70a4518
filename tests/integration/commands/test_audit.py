import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from service.core.audit import Action, Entry, Head, Link, follows
from service.events.audit import Anchor, to_record
from service.events.journal import Journal, Limits
from service.events.journal.segment import segment_path
from service.store import Store, open_store
from service.store.audit import AuditLog, head_of
from service.store.audit_key import load_audit_key

SETTINGS = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:9"}]
models: [{name: m, upstream: local, tier: 1}]
"""
NOW = 1_764_229_343.5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "watchgate.yaml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{folder}/var/watchgate.db")
    yield opened
    opened.close()


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    one = Journal(folder / "var" / "journal" / "enforcer-0", limits=Limits())
    yield one
    one.close()


def run(folder: Path, *arguments: str) -> int:
    return main(["audit", *arguments, "--config", str(folder / "watchgate.yaml")])


def key_in(folder: Path) -> bytes:
    return load_audit_key(folder / "var", None)


def record(folder: Path, store: Store, count: int) -> Head:
    log = AuditLog(key_in(folder))
    for number in range(count):
        with store.begin() as connection:
            after = {"name": "gr\u00fcn", "number": number}
            entry = Entry(NOW + number, "cli:ann", Action.PROJECT_CREATE, "project/p", None, after)
            log.record(connection, entry)
    with store.read() as connection:
        return head_of(connection)


def anchor(journal: Journal, head: Head, at: float = NOW) -> None:
    journal.append_all([to_record(Anchor(at=at, seq=head.seq, mac=head.mac.hex()))])


def verified(
    folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(folder, "verify", "--json", *arguments)
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert shown["ok"] == (code == 0)
    return code, shown


def tamper(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "var" / "watchgate.db")
    for trigger in ("audit_no_update", "audit_no_delete", "audit_appends"):
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_log_that_its_anchors_vouch_for_is_whole(
    folder: Path, store: Store, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    anchor(journal, record(folder, store, 3), at=NOW)
    head = record(folder, store, 2)
    anchor(journal, head, at=NOW + 60)
    code, shown = verified(folder, capsys)
    assert code == 0
    assert shown["anchors"] == {
        "checked": 2,
        "oldest_at": "2025-11-27T07:42:23Z",
        "up_to": 5,
        "unread": [],
    }
    assert (shown["entries"], shown["head"]) == (5, {"seq": 5, "mac": head.mac.hex()})
    assert run(folder, "verify") == 0
    said = capsys.readouterr().err
    assert "5 entries and 2 anchors were checked" in said
    assert "the oldest anchor is of 2025-11-27T07:42:23Z; the entries up to 5" in said


def test_an_empty_log_is_whole(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = verified(folder, capsys)
    assert (code, shown["findings"]) == (0, [])
    assert store


def test_a_log_without_anchors_is_told_plainly(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, store, 2)
    code, shown = verified(folder, capsys)
    assert code == 1
    assert [it["fault"] for it in shown["findings"]] == ["not_anchored"]
    assert run(folder, "verify") == 1
    assert "there is no anchor" in capsys.readouterr().err


def test_an_anchor_may_be_given_by_hand_as_head_prints_it(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, store, 2)
    assert run(folder, "head") == 0
    given = capsys.readouterr().out.strip()
    assert verified(folder, capsys, "--anchor", given)[0] == 0
    record(folder, store, 1)
    assert verified(folder, capsys, "--anchor", given)[0] == 0
    tamper(folder, "DELETE FROM audit WHERE seq > 1")
    code, shown = verified(folder, capsys, "--anchor", given)
    assert code == 1
    (finding,) = shown["findings"]
    assert (finding["fault"], finding["first"], finding["last"]) == ("cut", 2, 2)
    assert finding["anchor"]["where"] == "--anchor"


@pytest.mark.parametrize(
    "wrong", ["3", "3:00", "x:" + "00" * 32, "0:" + "00" * 32, "3:" + "zz" * 32]
)
def test_an_anchor_that_is_none_is_refused(
    folder: Path, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(folder, "verify", "--anchor", wrong)
    assert caught.value.code == 2
    assert "SEQ:MAC as `watchgate audit head` prints it" in capsys.readouterr().err


def test_what_was_changed_and_where_and_by_which_anchor_is_told(
    folder: Path, store: Store, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    anchor(journal, record(folder, store, 9))
    tamper(
        folder,
        "UPDATE audit SET actor = 'cli:bob' WHERE seq = 3",
        "DELETE FROM audit WHERE seq IN (5, 6, 8, 9)",
    )
    code, shown = verified(folder, capsys)
    assert code == 1
    assert [(it["fault"], it["first"], it["last"]) for it in shown["findings"]] == [
        ("changed", 3, 3),
        ("missing", 5, 6),
        ("cut", 8, 9),
    ]
    assert shown["findings"][2]["anchor"]["where"] == "enforcer-0/1/1"
    assert run(folder, "verify") == 1
    said = capsys.readouterr().err
    assert "entry 3 is not what was written there" in said
    assert "entries 5 to 6 are missing" in said
    assert "entries 8 to 9 were cut off at the end: the anchor 9:" in said


def test_a_log_that_an_insider_wrote_anew_with_the_key_is_found_by_its_anchors(
    folder: Path, store: Store, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, store, 2)
    anchor(journal, record(folder, store, 3))
    tamper(folder, "DELETE FROM audit WHERE seq > 3")
    anchor(journal, record(folder, store, 4))  # the auditor goes on and sees nothing in it
    code, shown = verified(folder, capsys)
    assert code == 1
    (finding,) = shown["findings"]
    assert (finding["fault"], finding["first"], finding["last"]) == ("rewritten", 1, 5)


def test_another_key_is_guessed_at(
    folder: Path, store: Store, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    anchor(journal, record(folder, store, 3))
    (folder / "var" / "audit-key").write_text("another key, which is long enough")
    assert run(folder, "verify") == 1
    assert "is audit.key the one that the log was written under?" in capsys.readouterr().err


def test_anchors_that_cannot_be_read_are_told_and_the_others_count(
    folder: Path, store: Store, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    anchor(journal, record(folder, store, 2))
    anchor(journal, record(folder, store, 2))
    journal.close()
    path = segment_path(folder / "var" / "journal" / "enforcer-0", 1)
    path.write_bytes(path.read_bytes().replace(b'"seq":4', b'"seq":5'))
    code, shown = verified(folder, capsys)
    assert code == 1
    assert (shown["findings"], shown["anchors"]["checked"]) == ([], 1)
    assert "segment 1 of enforcer-0" in shown["anchors"]["unread"][0]


def test_an_export_holds_all_that_it_takes_to_check_it_and_is_an_entry_itself(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, store, 3)
    assert run(folder, "export") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4]
    assert lines[1] == {
        "seq": 2,
        "at": "2025-11-27T07:42:24.500000Z",
        "actor": "cli:ann",
        "action": "project.create",
        "object": "project/p",
        "before": None,
        "after": {"name": "gr\u00fcn", "number": 1},
        "reason": None,
        "mac": lines[1]["mac"],
    }
    assert (lines[3]["action"], lines[3]["object"]) == ("audit.export", "audit")
    assert lines[3]["actor"].startswith("cli:")
    head = Head()
    for line in lines:
        found = _link(line)
        assert follows(key_in(folder), head.mac, found)
        head = Head(found.seq, found.mac)


def _link(line: dict[str, Any]) -> Link:
    """Take an entry from an export, as docs/audit.md tells."""
    at = datetime.fromisoformat(line["at"]).timestamp()
    before, after = (
        None
        if line[name] is None
        else json.dumps(line[name], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        for name in ("before", "after")
    )
    mac = bytes.fromhex(line["mac"])
    return Link(
        line["seq"],
        at,
        line["actor"],
        line["action"],
        line["object"],
        before,
        after,
        line["reason"],
        mac,
    )


def test_an_export_may_begin_later(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, store, 3)
    assert run(folder, "export", "--since", "3") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seq"] for line in lines] == [3, 4]
    assert lines[1]["after"] == {"since": 3}
    with pytest.raises(SystemExit):
        run(folder, "export", "--since", "0")


def test_a_log_that_was_changed_is_exported_as_it_is(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    record(folder, store, 2)
    tamper(folder, "UPDATE audit SET at = 'x', after = x'ff', mac = 3 WHERE seq = 2")
    assert run(folder, "export") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert (lines[1]["at"], lines[1]["mac"]) == (None, None)


def test_the_head_of_an_empty_log_is_told(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "head", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"seq": 0, "mac": "00" * 32}
    assert "empty" in printed.err
    assert store
