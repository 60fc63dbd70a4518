"""The fault matrix: `make faults`.

    python -m load_tests.faults                                  # every fault: about half an hour
    python -m load_tests.faults --only gateway-killed --seconds 5
    python -m load_tests.faults --write docs/reliability.md

Watchgate runs under a light steady load while one fault after another befalls it. Exit code 0, or
1 when an invariant does not hold (or a fault could not be run), or 2 when nothing can run.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from load_tests.documents import written_between
from load_tests.faults.account import Account
from load_tests.faults.fault import Fault
from load_tests.faults.registry import FAULTS
from load_tests.faults.stand import NotRunError
from load_tests.faults.stands import STANDS
from load_tests.faults.table import cells, markdown
from load_tests.faults.trial import Row, try_fault
from load_tests.processes import CACHE, BenchError

MARK: Final = "faults"
SHOWN: Final = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the faults and tells of them; the exit codes are in the module's text."""
    options = _parser().parse_args(arguments)
    if unknown := set(options.only) - FAULTS.keys():
        print(f"faults: no fault is called {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [FAULTS[name] for name in FAULTS if not options.only or name in options.only]
    rows: dict[str, Row] = {}
    try:
        for row in run(chosen, options.seconds, options.folder):
            rows[row.fault] = row
            print(" | ".join(cells(row)), *row.problems[:SHOWN], sep="\n    ", flush=True)
            _keep(rows, options.figures, options.write)
    except BenchError as why:
        print(f"faults: {why}", file=sys.stderr)
        return 2
    return 0 if all(row.holds for row in rows.values()) else 1


def run(faults: Iterable[Fault], seconds: float, parent: Path = CACHE) -> Iterator[Row]:
    """Yields a row for each fault; those of one stand befall it one after another.

    After a fault that it did not survive a stand is made anew.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for stand, group in itertools.groupby(faults, lambda fault: fault.stand):
        waiting = list(group)
        while waiting:
            for row in _on_a_stand(stand, waiting, seconds, parent):
                del waiting[0]
                yield row


def _on_a_stand(name: str, faults: Sequence[Fault], seconds: float, parent: Path) -> Iterator[Row]:
    """Yields rows up to the first that does not hold."""
    with tempfile.TemporaryDirectory(prefix="faults-", dir=parent) as folder:
        account = Account()
        try:
            with STANDS[name](Path(folder).resolve()) as stand:
                for fault in list(faults):
                    row = try_fault(fault, stand, account, seconds)
                    yield row
                    if not row.holds:
                        _keep_log(stand.watchgate.log, fault.name, parent)
                        return
        except NotRunError as why:
            for fault in list(faults):
                yield Row(fault.name, name, fault.what, not_run=str(why))


def _keep_log(log: Path, fault: str, parent: Path) -> None:
    (parent / f"{fault}.log").write_bytes(log.read_bytes())


def _keep(rows: Mapping[str, Row], figures: Path, document: Path | None) -> None:
    """Write what is known so far: a run that is cut off has told what it saw.

    Of faults that were not run now, what an earlier run left in the file of figures stays.
    """
    earlier = json.loads(figures.read_text()) if figures.exists() else {}
    told = earlier | {name: asdict(row) | {"when": _when()} for name, row in rows.items()}
    figures.parent.mkdir(parents=True, exist_ok=True)
    figures.write_text(json.dumps(told, indent=2) + "\n")
    if document:
        known = [Row(**_without_when(told[name])) for name in FAULTS if name in told]
        whens = sorted({told[name]["when"] for name in FAULTS if name in told})
        text = f"{len(known)} of {len(FAULTS)} faults; {', '.join(whens)}.\n\n{markdown(known)}"
        document.write_text(written_between(document.read_text(), MARK, text))


def _without_when(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "when"}


def _when() -> str:
    """The day and the machine."""
    day = time.strftime("%d %B %Y", time.gmtime()).lstrip("0")
    return f"{day}, on {os.cpu_count()} cores"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.faults",
        description="What becomes of Watchgate under each fault, set against what callers saw.",
        epilog="example: python -m load_tests.faults --only gateway-killed --seconds 5",
    )
    add = parser.add_argument
    add("--only", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(FAULTS)}")
    add("--seconds", type=float, default=10.0, help="how long a fault lasts (10)")
    figures = CACHE / "faults.json"
    add("--figures", type=Path, default=figures, help=f"all that was seen ({figures.name})")
    add("--write", type=Path, help="write the table between the marks of this document")
    add("--folder", type=Path, default=CACHE, help="where the journals go: on a disk")
    return parser


if __name__ == "__main__":
    sys.exit(main())
