"""Programs from Debian's packages, fetched and unpacked without being installed.

Nothing is configured or started and no root is needed: `apt-get download` and `dpkg -x` put the
package, and the shared libraries that this machine lacks, into a folder of ours.
"""

import fcntl
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "debian"
PROGRAM_FOLDERS: Final = ("usr/sbin", "usr/bin", "sbin", "bin")
TIMEOUT_S: Final = 180.0
MAX_PACKAGES: Final = 40


class DebianProgramMissing(RuntimeError):
    """The program is neither on this machine nor to be had; the text says what to install."""


def debian_program(package: str, program: str, *, cache: Path = CACHE) -> Path:
    """Path of a program that runs as it is: the machine's own, or one unpacked from `package`.

    What is fetched stays in `cache`; a second call does not touch the network. Where the program
    needs libraries that had to be fetched too, the path is that of a script which says where they
    are and then becomes the program, so its process id is the program's.

    Raises:
        DebianProgramMissing: no apt, no network, or no such package or program.
    """
    if installed := _installed(program):
        return installed
    launcher = cache / package / "bin" / program
    with _locked(cache / f"{package}.lock"):
        if not launcher.exists():
            _fetch(package, program, cache)
    return launcher


def first_choices(depends: str, installed: Sequence[str] | set[str] = ()) -> list[str]:
    """Names of the packages that a `Depends` field asks for and that are not installed.

    Of alternatives the first is taken, unless any of them is installed; libraries come first.

    >>> first_choices("adduser, libc6 (>= 2.34), libluajit-5.1-2 | libluajit2-5.1-2", {"adduser"})
    ['libc6', 'libluajit-5.1-2']
    """
    groups = [[_bare_name(choice) for choice in group.split("|")] for group in depends.split(",")]
    wanted = [group[0] for group in groups if group[0] and not set(group) & set(installed)]
    return sorted(wanted, key=lambda name: not name.startswith("lib"))


def missing_libraries(ldd_output: str) -> list[str]:
    """Sonames that ldd did not find.

    >>> missing_libraries("libz.so.1 => /lib/libz.so.1 (0x1)\\nlibx.so.2 => not found")
    ['libx.so.2']
    """
    return re.findall(r"(\S+) => not found", ldd_output)


@dataclass(frozen=True, slots=True)
class _Apt:
    """Debian's tools, with the machine's package lists or with newer ones in a folder of ours."""

    options: tuple[str, ...] = ()

    @classmethod
    def with_new_lists(cls, folder: Path) -> "_Apt":
        """Fetches the package lists into `folder`: the machine's are absent or out of date."""
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        settings = (
            f"Dir::State::lists={folder / 'lists'}",
            f"Dir::Cache={folder / 'cache'}",
            "APT::Sandbox::User=",
        )
        apt = cls(tuple(word for setting in settings for word in ("-o", setting)))
        _output("apt-get", *apt.options, "-q", "update")
        return apt

    def depends(self, package: str) -> str:
        """The package's `Pre-Depends` and `Depends`, as one field."""
        shown = _output("apt-cache", *self.options, "show", "--no-all-versions", package)
        return ", ".join(re.findall(r"^(?:Pre-)?Depends: (.*)$", shown, re.MULTILINE))

    def unpack(self, package: str, root: Path) -> None:
        """Downloads one package and unpacks it under `root`."""
        with TemporaryDirectory(dir=root.parent) as folder:
            options = (*self.options, "-o", "APT::Sandbox::User=")
            _output("apt-get", *options, "-q", "download", package, cwd=Path(folder))
            for archive in Path(folder).glob("*.deb"):
                _output("dpkg", "-x", str(archive), str(root))


def _fetch(package: str, program: str, cache: Path) -> None:
    """Unpacks with the machine's package lists, and if that fails with new ones."""
    try:
        _unpack_all(_Apt(), package, program, cache / package)
    except DebianProgramMissing:
        try:
            _unpack_all(_Apt.with_new_lists(cache / "apt"), package, program, cache / package)
        except DebianProgramMissing as why:
            raise DebianProgramMissing(
                f"{program} is needed and could not be fetched ({why}); "
                f"install it with: sudo apt-get update && sudo apt-get install {package}"
            ) from why


def _unpack_all(apt: _Apt, package: str, program: str, folder: Path) -> None:
    """Unpacks the package and what it depends on, until the program has all its libraries."""
    root, whole = folder / "root", folder / "whole"
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
    root.mkdir(parents=True, exist_ok=True)
    waiting, seen = deque([package]), {package}
    while not _is_complete(root, program):
        if not waiting or len(seen) > MAX_PACKAGES:
            raise DebianProgramMissing(f"{package} and what it depends on hold no whole {program}")
        name = waiting.popleft()
        apt.unpack(name, root)
        new = [dep for dep in _not_installed(apt.depends(name)) if dep not in seen]
        waiting.extend(new)
        seen.update(new)
    whole.touch()
    _write_launcher(folder / "bin" / program, root, program)


def _not_installed(depends: str) -> list[str]:
    listed = _output("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n")
    installed = {line.split()[1] for line in listed.splitlines() if line.startswith("installed ")}
    return first_choices(depends, installed)


def _is_complete(root: Path, program: str) -> bool:
    path = _find(root, program)
    if not path:
        return False
    told = subprocess.run(
        ["ldd", path],
        env={"LD_LIBRARY_PATH": _library_path(root)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,  # it exits 1 for a static program
    )
    return not missing_libraries(told.stdout)


def _write_launcher(launcher: Path, root: Path, program: str) -> None:
    """A link to the program, or a script that execs it where it needs fetched libraries."""
    path, libraries = _find(root, program), _library_path(root)
    launcher.parent.mkdir(exist_ok=True)
    if not libraries:
        launcher.symlink_to(f"../root/{path.relative_to(root)}" if path else "")
        return
    unfinished = launcher.with_suffix(".unfinished")
    unfinished.write_text(
        f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}"\nexport LD_LIBRARY_PATH\nexec "{path}" "$@"\n'
    )
    unfinished.chmod(0o755)
    unfinished.rename(launcher)


def _find(root: Path, program: str) -> Path | None:
    paths = (root / folder / program for folder in PROGRAM_FOLDERS)
    return next((path for path in paths if path.exists()), None)


def _library_path(root: Path) -> str:
    libraries = (*root.glob("lib/**/lib*.so*"), *root.glob("usr/lib/**/lib*.so*"))
    return ":".join(sorted({str(path.parent) for path in libraries}))


def _installed(program: str) -> Path | None:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    return Path(found) if found else None


def _bare_name(choice: str) -> str:
    """`libc6:any (>= 2.34)` → `libc6`."""
    return re.split(r"[\s(:]", choice.strip(), maxsplit=1)[0]


def _output(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
    except FileNotFoundError:
        raise DebianProgramMissing(f"this machine has no {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise DebianProgramMissing(f"{command[0]} took over {TIMEOUT_S:.0f} s") from None
    except subprocess.CalledProcessError as failed:
        lines = failed.stderr.strip().splitlines() or [f"{command[0]} failed"]
        raise DebianProgramMissing(lines[-1]) from None
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process fetches a package at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
