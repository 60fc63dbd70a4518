"""Writes the dashboards into the chart: `python -m scripts.dashboards [--check]`."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts.dashboards.access import access
from scripts.dashboards.board import Board
from scripts.dashboards.detectors import detectors
from scripts.dashboards.gateway import gateway
from scripts.dashboards.overview import overview
from scripts.dashboards.pipeline import pipeline
from scripts.dashboards.slos import slos
from scripts.dashboards.vllm import vllm

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy/helm/watchgate/dashboards"
BOARDS: Final[Sequence[Callable[[], Board]]] = (
    overview,
    gateway,
    pipeline,
    detectors,
    access,
    vllm,
    slos,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with --check say which differ; return 0, or 1 if any does."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    made = files()
    stale = [
        *(path for path, text in made.items() if not path.exists() or path.read_text() != text),
        *(path for path in sorted(FOLDER.glob("*.json")) if path not in made),
    ]
    for path in stale:
        print(f"{path}: {'stale: run make dashboards' if check else _write(path, made.get(path))}")
    return 1 if check and stale else 0


def files() -> Mapping[Path, str]:
    """Return each file, and what belongs in it."""
    boards = [make() for make in BOARDS]
    return {
        FOLDER / f"{it.uid}.json": json.dumps(it.document(), indent=2, ensure_ascii=False) + "\n"
        for it in boards
    }


def _write(path: Path, text: str | None) -> str:
    if text is None:
        path.unlink()
        return "removed"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return "written"


if __name__ == "__main__":
    sys.exit(main())
