"""Looks at data_dir: whose it is, who may read it, how much fits, who writes there."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from service.core.findings import Finding, ok, problem, unknown
from service.doctor.local import PROC, holder_of
from service.doctor.results import Named
from service.settings import Settings
from service.wiring.parts import journal_root

_OTHERS: Final = 0o077
_SHOWN: Final = 3
_GIB: Final = 1024**3
_UNFIT: Final = frozenset(
    {"tmpfs", "ramfs", "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.s3fs"}
)
"""File systems that forget, or whose fsync promises nothing."""


def data_dir(settings: Settings) -> Iterator[Named]:
    """Check the folder, as it is; one that is not there yet is not made."""
    folder = settings.data_dir
    if not folder.is_dir():
        words = f"{folder} is not there yet: the first process makes it"
        yield "folder", unknown(words, "start Watchgate, then ask again")
        return
    yield "owner", _owner(folder)
    yield "modes", _modes(folder)
    yield "file system", _file_system(folder)
    yield "room", _room(settings)
    yield from _journals(settings)


def _owner(folder: Path) -> Finding:
    uid, mine = folder.stat().st_uid, os.geteuid()
    if mine not in {uid, 0}:
        return problem(
            f"{folder} belongs to user {uid}, and this is user {mine}",
            "run doctor as the user that Watchgate runs as, or give that user the folder",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return problem(f"{folder} cannot be written", "let Watchgate's user write there")
    return ok(f"{folder} belongs to user {uid}")


def _modes(folder: Path) -> Finding:
    if _is_open(folder):
        return problem(
            f"others than its owner may enter {folder}, where prompts and secrets are",
            f"chmod 700 {folder}",
        )
    wide = [str(it) for it in sorted(folder.rglob("*")) if _is_secret(it) and _is_open(it)]
    if wide:
        shown = ", ".join(wide[:_SHOWN]) + (" and others" if len(wide) > _SHOWN else "")
        return problem(f"others than the owner may read {shown}", "chmod 600 these files")
    return ok("readable by the owner alone")


def _is_secret(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS)


def _file_system(folder: Path) -> Finding:
    kind = kind_of_file_system(folder.resolve(), (PROC / "mounts").read_text())
    if kind in _UNFIT:
        return problem(
            f"{folder} is on {kind}, where records may be lost or locks not hold",
            "put data_dir on a disk of this machine",
        )
    return ok(f"{folder} is on {kind}")


def kind_of_file_system(path: Path, mounts: str) -> str:
    """Return the kind of the file system that a path is on, by a table such as /proc/mounts."""
    found = ("unknown", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split()
        point = point.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(found[1]):
            found = (kind, point)  # a later mount on the same point hides the earlier
    return found[0]


def _room(settings: Settings) -> Finding:
    root = journal_root(settings)
    used = sum(it.stat().st_size for it in root.rglob("*") if it.is_file())
    disk = os.statvfs(settings.data_dir)
    free = disk.f_bavail * disk.f_frsize
    wanted = settings.journal.max_bytes * settings.gateway.workers
    words = f"{free / _GIB:.1f} GiB are free, and the journals may grow to {wanted / _GIB:.1f} GiB"
    if free + used < wanted:
        return problem(
            f"{words}: the disk would be full before",
            "free or add disk, or lower journal.max_bytes",
        )
    return ok(words)


def _journals(settings: Settings) -> Iterator[Named]:
    root = journal_root(settings)
    for folder in _slots(root):
        yield f"journal {folder.name}", _slot(folder)


def _slots(root: Path) -> Sequence[Path]:
    return sorted(lock.parent for lock in root.glob("*/lock"))


def _slot(folder: Path) -> Finding:
    if not all(os.access(it, os.R_OK | os.W_OK) for it in (folder, folder / "lock")):
        return problem(f"{folder} cannot be written", "let Watchgate's user write there")
    holder = holder_of(folder / "lock")
    if holder is None:
        return ok("nobody is seen to write it; the next process of its role takes it")
    return ok(f"process {holder} writes it")
