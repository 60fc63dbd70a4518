"""Rows through the model: its states go to disk, by a process that has torch and transformers."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Final

import click
import msgspec

from detectors.data import Row
from detectors.errors import DataError
from detectors.probe.states import Manifest, Plan, begin, manifest_of, missing
from vllm_probe.collecting import Job, Shard

Say = Callable[[str], None]
_ROOT: Final = Path(__file__).parents[2]
_START: Final = (
    # the other Python's own packages come first: ours is only the last place to look
    f"import sys, runpy; sys.path.append({str(_ROOT)!r}); "
    "runpy.run_module('vllm_probe.collecting', run_name='__main__')"
)
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_TAIL_BYTES: Final = 2_000


def collect(
    rows: Sequence[Row], plan: Plan, folder: Path, say: Say, *, show_progress: bool
) -> Manifest:
    """Have the states of rows in a folder; what is there already is not read again.

    Raises:
        DataError: the model or the folder is not right, or the process failed.
    """
    manifest = manifest_of(rows, plan)
    begin(folder, rows, manifest)
    left = missing(folder, len(rows))
    count = sum(chosen.stop - chosen.start for _, chosen in left)
    say(
        f"{count} of {len(rows)} rows to read, {manifest.row_bytes * count / 1e6:,.0f} MB to "
        f"write: layers {', '.join(map(str, manifest.layers))} of {manifest.layers_of_model}"
    )
    if not left:
        return manifest
    job = Job(
        str(plan.model.absolute()),
        manifest.layers,
        plan.max_tokens,
        plan.dtype,
        str(folder.absolute()),
    )
    shards = [
        Shard(number, tuple((it.text, it.response) for it in rows[chosen]))
        for number, chosen in left
    ]
    bar = click.progressbar(
        length=count, label="reading", file=sys.stderr, hidden=not show_progress
    )
    with bar:
        sizes = {it.number: len(it.texts) for it in shards}
        for number in _done(plan.python, job, shards):
            bar.update(sizes.get(number, 0))
    return manifest


def _done(python: Path, job: Job, shards: Sequence[Shard]) -> Iterable[int]:
    """Run the process; yield the number of each shard that it has done."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.writelines(msgspec.json.encode(it) + b"\n" for it in (job, *shards))
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 (the user's own interpreter)
                [str(python), "-P", "-c", _START],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **_OFFLINE},
            )
        except OSError as error:
            raise DataError(f"{python} cannot be run: {error.strerror}") from None
        with process:
            try:
                for line in process.stdout or ():  # a library may say something of its own, too
                    if line.strip().isdigit():
                        yield int(line)
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise DataError(_why(python, _tail(errors)))


def _why(python: Path, said: str) -> str:
    """Return what went wrong, and what would be right."""
    if missing := re.search(r"No module named '(\w+)'$", said):
        return f"{python} has no {missing[1]}: name one that has, and transformers, by --python"
    return f"{python} could not read the rows:\n{said}"


def _tail(file: IO[bytes]) -> str:
    """Return what a process said last; it speaks of its own failure, not of texts."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    return file.read().decode(errors="replace").strip()
