import logging
import os
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from detectors.api import Category, Part
from service.core.directory import (
    KnownKey,
    Limits,
    Organisation,
    Project,
    Rules,
    Scope,
    ServiceAccount,
    Snapshot,
    Standing,
)
from service.core.moments import Moment
from service.core.screening import Point
from service.store.copy import Heard, LocalCopy, this_moment

PEPPER = b"a pepper of the tests"
AT = Moment(1_000_000.0, "boot", 500.0)
HEARD = Heard(AT, 2.0, 7.0, 999_990.0, 3.0)
POINT = Point("op_1", "lexical", Category.ANY, Part.PROMPT, 0.9, "block", frozenset({"m"}), 3)
SNAPSHOT = Snapshot(
    epoch="e",
    revision=7,
    loaded_at=1.5,
    keys={
        bytes([number]) * 32: KnownKey(
            f"key_{number}", "search", "sa_1", Rules(models=("m",), tools=False), 2.5, None
        )
        for number in range(3)
    },
    organisations={"default": Organisation("default", frozenset({"a", "b"}))},
    projects={"search": Project("search", rules=Rules(max_tokens=5), disabled=True)},
    service_accounts={"sa_1": ServiceAccount("sa_1", "search", "nightly")},
    limits={(Scope.PROJECT, "search"): {"": Limits(requests_per_min=3)}},
    standings={"search/u1": Standing.SUSPENDED},
    points={"op_1": POINT, "op_2": replace(POINT, expires_at=2.5, surface="chat", tier=2)},
)


def later(seconds: float) -> Moment:
    return Moment(AT.wall_s + seconds, AT.boot, AT.uptime_s + seconds)


def copy_in(folder: Path, pepper: bytes = PEPPER) -> LocalCopy:
    return LocalCopy(folder / "gateway-0", [pepper])


def saved(folder: Path, snapshot: Snapshot = SNAPSHOT, heard: Heard = HEARD) -> Path:
    copy_in(folder).save(snapshot, heard)
    return folder / "gateway-0"


def save_now(copy: LocalCopy, snapshot: Snapshot, heard: Heard) -> None:
    """Save although something was saved a moment ago."""
    copy._next_s = 0.0
    copy.save(snapshot, heard)


def refusal(folder: Path, caplog: pytest.LogCaptureFixture, pepper: bytes = PEPPER) -> str:
    """Load, and return why nothing is used."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert copy_in(folder, pepper).load(AT) is None
    (record,) = caplog.records
    return record.getMessage()


def test_what_was_saved_is_loaded_and_aged(tmp_path: Path) -> None:
    saved(tmp_path)
    kept = copy_in(tmp_path).load(later(10))
    assert kept is not None
    assert kept.snapshot == SNAPSHOT
    assert kept.heard == Heard(later(10), 12.0, 7.0, 999_990.0, 3.0)


def test_a_copy_from_before_there_were_points_is_good(tmp_path: Path) -> None:
    copy, older = copy_in(tmp_path), asdict(replace(SNAPSHOT, keys={}))
    del older["points"]
    encoded = [msgspec.msgpack.encode(it) for it in (HEARD, older, SNAPSHOT.keys)]
    copy._write(copy._path, b"".join(len(it).to_bytes(4) + it for it in encoded))
    kept = copy_in(tmp_path).load(AT)
    assert kept is not None
    assert kept.snapshot == replace(SNAPSHOT, points={})


def test_a_large_snapshot_is_whole(tmp_path: Path) -> None:
    keys = {
        number.to_bytes(32, "big"): KnownKey(f"key_{number}", "search") for number in range(10_000)
    }
    saved(tmp_path, replace(SNAPSHOT, keys=keys))
    kept = copy_in(tmp_path).load(AT)
    assert kept is not None
    assert kept.snapshot.keys == keys


def test_there_is_nothing_to_load_before_anything_was_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy_in(tmp_path).save(Snapshot(), HEARD)
    assert copy_in(tmp_path).load(AT) is None
    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []


def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    copy = copy_in(tmp_path / "new")
    copy.save(SNAPSHOT, HEARD)
    save_now(copy, SNAPSHOT, HEARD)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert modes == {"gateway-0": 0o600, "gateway-0.heard": 0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_nothing_is_written_again_within_a_few_seconds(tmp_path: Path) -> None:
    copy = copy_in(tmp_path)
    copy.save(SNAPSHOT, HEARD)
    before = (tmp_path / "gateway-0").stat().st_mtime_ns
    copy.save(replace(SNAPSHOT, revision=8), HEARD)
    assert (tmp_path / "gateway-0").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["gateway-0"]


def test_without_a_change_only_when_the_store_was_heard_of_is_written(tmp_path: Path) -> None:
    copy = copy_in(tmp_path)
    copy.save(SNAPSHOT, HEARD)
    inode = (tmp_path / "gateway-0").stat().st_ino
    save_now(copy, SNAPSHOT, Heard(later(60), 0.5))
    assert (tmp_path / "gateway-0").stat().st_ino == inode
    kept = copy_in(tmp_path).load(later(61))
    assert kept is not None
    assert kept.heard == Heard(later(61), 1.5)


def test_a_gateway_that_started_from_a_copy_goes_on_with_it(tmp_path: Path) -> None:
    saved(tmp_path)
    copy = copy_in(tmp_path)
    kept = copy.load(later(10))
    assert kept is not None
    copy.save(kept.snapshot, kept.heard)
    assert (tmp_path / "gateway-0.heard").exists()
    again = copy_in(tmp_path).load(later(20))
    assert again is not None
    assert again.heard.age_s == 22.0


def test_what_was_heard_of_another_copy_makes_this_one_no_younger(tmp_path: Path) -> None:
    copy = copy_in(tmp_path)
    copy.save(SNAPSHOT, HEARD)
    older = (tmp_path / "gateway-0").read_bytes()
    save_now(copy, replace(SNAPSHOT, revision=8), Heard(later(60)))
    save_now(copy, copy._saved or SNAPSHOT, Heard(later(120)))
    (tmp_path / "gateway-0").write_bytes(older)
    kept = copy_in(tmp_path).load(later(121))
    assert kept is not None
    assert (kept.snapshot.revision, kept.heard.age_s) == (7, 123.0)


def test_a_clock_that_is_set_back_makes_a_copy_no_younger(tmp_path: Path) -> None:
    saved(tmp_path)
    kept = copy_in(tmp_path).load(Moment(AT.wall_s - 3600, AT.boot, AT.uptime_s + 10))
    assert kept is not None
    assert kept.heard.age_s == 12.0


@given(st.data())
@tries(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_copy_in_which_any_byte_changed_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert "gateway-0 is of another version" in (why := refusal(tmp_path, caplog)) or (
        "gateway-0 was changed, or made under another pepper" in why
    )


@given(st.integers(min_value=1))
@tries(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_copy_that_was_cut_short_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: int
) -> None:
    path = saved(tmp_path)
    size = path.stat().st_size
    os.truncate(path, size - 1 - missing % size)
    assert refusal(tmp_path, caplog)


def test_a_copy_under_another_pepper_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(tmp_path)
    assert "another pepper" in refusal(tmp_path, caplog, b"another pepper, as long")


def test_a_copy_of_another_version_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"copy 1", b"copy 2"))
    assert "another version" in refusal(tmp_path, caplog)


def test_what_was_heard_is_no_copy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = copy_in(tmp_path)
    copy.save(SNAPSHOT, HEARD)
    save_now(copy, SNAPSHOT, HEARD)
    (tmp_path / "gateway-0.heard").replace(tmp_path / "gateway-0")
    assert "was changed" in refusal(tmp_path, caplog)


def test_a_damaged_word_of_when_leaves_the_copy_as_old_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = copy_in(tmp_path)
    copy.save(SNAPSHOT, HEARD)
    save_now(copy, SNAPSHOT, Heard(later(60)))
    os.truncate(tmp_path / "gateway-0.heard", 60)
    kept = copy_in(tmp_path).load(later(60))
    assert kept is not None
    assert kept.heard.age_s == 62.0
    assert "older than it may be" in caplog.text


def test_a_folder_in_place_of_a_copy_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gateway-0").mkdir()
    assert "Is a directory" in refusal(tmp_path, caplog)


def test_the_machines_own_clock_goes_on() -> None:
    one, other = this_moment(), this_moment()
    assert one.boot == other.boot != ""
    assert 0 < one.uptime_s <= other.uptime_s
