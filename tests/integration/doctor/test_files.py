import os
from pathlib import Path

import pytest

from service.core.findings import Finding
from service.doctor.files import data_dir, kind_of_file_system
from service.events.journal import take_slot
from service.settings import Settings
from service.store import load_pepper, open_store
from tests.integration.doctor.settings_of import settings_of, statuses

SMALL = {"max_bytes": 4 * 2**20, "segment_bytes": 2**20, "reserve_bytes": 2**20}


@pytest.fixture
def installed(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path, journal=SMALL)
    load_pepper(settings.data_dir, None)
    open_store(settings.store.url).close()
    return settings


def found(settings: Settings) -> dict[str, Finding]:
    return dict(data_dir(settings))


def test_a_folder_that_is_not_there_yet_cannot_be_checked_and_is_not_made(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert statuses(list(data_dir(settings))) == {"folder": "could-not-check"}
    assert not settings.data_dir.exists()


def test_what_watchgate_makes_is_well_kept(installed: Settings) -> None:
    result = statuses(list(data_dir(installed)))
    assert {result[name] for name in ("owner", "modes", "room")} == {"ok"}


def test_a_folder_that_others_may_enter_is_a_problem(installed: Settings) -> None:
    installed.data_dir.chmod(0o755)
    finding = found(installed)["modes"]
    assert finding.status == "problem"
    assert finding.to_do == f"chmod 700 {installed.data_dir}"


def test_a_secret_that_others_may_read_is_a_problem(installed: Settings) -> None:
    (installed.data_dir / "pepper").chmod(0o640)
    finding = found(installed)["modes"]
    assert finding.status == "problem"
    assert str(installed.data_dir / "pepper") in finding.found


def test_a_disk_too_small_for_the_journal_is_a_problem(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, journal={"max_bytes": 2**60})
    settings.data_dir.mkdir(0o700)
    assert found(settings)["room"].status == "problem"


def test_who_writes_a_journal_is_told_and_the_slot_stays_free(installed: Settings) -> None:
    root = installed.data_dir / "journal"
    slot = take_slot(root, "gateway", lambda _: None)
    assert f"process {os.getpid()} writes" in found(installed)["journal gateway-0"].found
    slot.release()
    assert "nobody" in found(installed)["journal gateway-0"].found
    take_slot(root, "gateway", lambda _: None).release()


MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
server:/x /mnt/a\\040b nfs4 rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"), [("/var/x", "ext4"), ("/run/x", "tmpfs"), ("/mnt/a b/c", "nfs4")]
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(path: str, kind: str) -> None:
    assert kind_of_file_system(Path(path), MOUNTS) == kind
