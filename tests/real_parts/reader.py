"""A reader who follows a document in a folder: saves its files, runs its commands in a shell."""

import contextlib
import io
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self
from unittest import mock

from tests.real_parts.debian import debian_program
from tests.real_parts.documents import (
    DOCS,
    Document,
    SavedFile,
    Step,
    ids_of_run,
    run_watchgate,
    with_ids,
)

ROOT: Final = DOCS.parent
DEADLINE_S: Final = 150.0
PAUSE_S: Final = 0.3
STOP_S: Final = 60.0
TERMINALS_OF_THEIR_OWN: Final = ("watchgate up", "prometheus ")
AGAIN: Final = ("curl ", "python ask.py", "watchgate alerts list", "watchgate receipts show")
"""What a reader does again until the effect of the step before it is there."""
IN_THIS_PROCESS: Final = ("watchgate ", "python ")
"""What is imported once is quicker: an SDK takes a second of processor time."""
MAY_FIND_A_PROBLEM: Final = ("watchgate doctor",)
"""Of the machine: too little room, say, which is no matter to a document."""
FETCHED: Final = {"curl": "curl", "prometheus": "prometheus"}
"""Programs of Debian's packages, and the package of each."""
_EXPORT: Final = re.compile(r'(\w+)="([^"]*)"')


class Reader:
    """Follows documents, one after the other, in one folder.

    Args:
        folder: stands for the checkout.
        ports: those that the documents name, and those that are used in their place.
    """

    def __init__(self, folder: Path, ports: Mapping[int, int]) -> None:
        self.folder = folder
        self.real: dict[str, str] = {}
        """The ids of this run, by those that the documents have."""
        self._ports = {str(said): str(used) for said, used in ports.items()}
        self._exported: dict[str, str] = {}
        self._running: list[subprocess.Popen[bytes]] = []
        shutil.copytree(DOCS / "examples", folder / "docs" / "examples")
        self._programs = _programs(folder / "programs")

    def follow(self, document: Document) -> None:
        """Do everything that the document tells, and hold what is printed to it."""
        for part in document.parts():
            if isinstance(part, SavedFile):
                (self.folder / part.name).write_text(self._here(part.text), encoding="utf-8")
            else:
                command = with_ids(self._here(part.command), self.real)
                self._do(Step(command, self._here(part.output)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for process in reversed(self._running):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(STOP_S)

    def _here(self, text: str) -> str:
        """Return a text of a document with the ports of this run."""
        return re.sub(r"(?<!\d)\d{4}(?!\d)", lambda it: self._ports.get(it[0], it[0]), text)

    def _do(self, step: Step) -> None:
        if step.command.startswith("export "):
            self._exported |= dict(_EXPORT.findall(step.command))
        elif step.command.startswith(TERMINALS_OF_THEIR_OWN):
            self._start(step)
        else:
            self._run(step)

    def _run(self, step: Step) -> None:
        deadline = time.monotonic() + (DEADLINE_S if step.command.startswith(AGAIN) else 0)
        while True:
            printed = self._printed(step.command)
            ids = ids_of_run(step.output, printed, self.real)
            if ids is not None:
                self.real |= ids
                return
            assert time.monotonic() < deadline, _difference(step, printed)
            time.sleep(PAUSE_S)

    def _printed(self, command: str) -> str:
        if set(command) & set("|><$") or not command.startswith(IN_THIS_PROCESS):
            code, printed = self._in_a_shell(command)
        else:
            with contextlib.chdir(self.folder), mock.patch.dict(os.environ, self._environment()):
                run = run_watchgate if command.startswith("watchgate ") else _run_script
                code, printed = run(command)
        assert code == 0 or command in MAY_FIND_A_PROBLEM, f"{command}: {code}\n{printed}"
        return printed

    def _in_a_shell(self, command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        return done.returncode, done.stdout + ("" if command.startswith("curl ") else done.stderr)

    def _start(self, step: Step) -> None:
        log = self.folder / f"{len(self._running)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                shlex.split(step.command),
                cwd=self.folder,
                env=self._environment(),
                executable=shutil.which(step.command.split()[0], path=str(self._programs)),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._running.append(process)
        deadline = time.monotonic() + DEADLINE_S
        while ids_of_run(step.output, log.read_text(errors="replace")) is None:
            words = log.read_text(errors="replace")
            assert process.poll() is None, _difference(step, words)
            assert time.monotonic() < deadline, _difference(step, words)
            time.sleep(PAUSE_S)

    def _environment(self) -> dict[str, str]:
        kept = {name: it for name, it in os.environ.items() if not name.startswith("OPENAI_")}
        path = f"{self._programs}:{os.environ['PATH']}"
        return {
            **kept, "PATH": path, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", **self._exported
        }  # fmt: skip


def _run_script(command: str) -> tuple[int, str]:
    """Run `python FILE ARGUMENT ...` in this process; an exception is the test's."""
    _, *arguments = shlex.split(command)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), mock.patch.object(sys, "argv", arguments):
        runpy.run_path(arguments[0], run_name="__main__")
    return 0, out.getvalue()


def _programs(folder: Path) -> Path:
    """Make a folder with what the reader has on the PATH."""
    folder.mkdir()
    for name, words in {"python": "", "watchgate": "-m service.cli"}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (folder / name).chmod(0o755)
    for program, package in FETCHED.items():
        (folder / program).symlink_to(debian_program(package, program))
    return folder


def _difference(step: Step, printed: str) -> str:
    return f"{step.command}\nshould print:\n{step.output}\nbut prints:\n{printed}"
