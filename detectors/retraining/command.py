"""`watchgate detectors train` and `calibrate`: their arguments, and what they print."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from detectors import lexical, semantic
from detectors.data import DEFAULT_FOLDER, OR_DATA
from detectors.errors import DataError

Leaf = Callable[[str, str, str], argparse.ArgumentParser]
"""Takes a command's name, purpose and example."""
Handler = Callable[[argparse.Namespace], int]
Answers = Callable[[Handler], Handler]
"""Turns what a handler raises into an exit code."""

_OF_CONFIG = ("check_rows", "report", "html")
_OF_POOL = ("data", "output", "detector")


def add_train(leaf: Leaf, answers: Answers) -> None:
    """Add `train`."""
    parser = leaf(
        "train",
        "retrain `lexical` on rows of your own, or train it on a data folder",
        "watchgate detectors train --config train.yaml --report report.md",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML: your rows, and where the model goes"
    )
    parser.add_argument(
        "--check-rows",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="rows to see what was forgotten by, with or without labels; may be repeated",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report here, too")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with plots")
    parser.add_argument(
        "--data",
        type=Path,
        help="without --config: folder with licences.tsv, train_pool/ and dev/ "
        "(default: ../shared/data)",
    )
    parser.add_argument(
        "--output", type=Path, help="without --config: folder of the new model (default: shipped)"
    )
    parser.add_argument(
        "--detector",
        choices=[lexical.NAME, semantic.NAME],
        help="without --config: what is trained (default: lexical)",
    )
    parser.set_defaults(run=answers(train))


def add_calibrate(leaf: Leaf, answers: Answers) -> None:
    """Add `calibrate`."""
    parser = leaf(
        "calibrate",
        "fit a model's probabilities to rows of your own; its weights stay",
        "watchgate detectors calibrate --model DIR --rows labelled.jsonl --output NEW_DIR",
    )
    parser.add_argument("--model", type=Path, help="folder of the model (default: the shipped one)")
    parser.add_argument(
        "--rows",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="JSONL file of labelled rows; may be repeated",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the new model")
    parser.add_argument("--seed", type=int, default=0, help="how rows are dealt out (default: 0)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report here, too")
    parser.set_defaults(run=answers(calibrate))


def train(args: argparse.Namespace) -> int:
    """Retrain by a configuration, or train on a data folder."""
    others = _OF_POOL if args.config else _OF_CONFIG
    for name in others:
        if getattr(args, name):
            flag = "--" + name.replace("_", "-")
            says = "name it in the configuration" if args.config else "it needs --config"
            raise DataError(f"{flag} does not go with this: {says}")
    return _retrain(args) if args.config else _train_on_pool(args)


def _train_on_pool(args: argparse.Namespace) -> int:
    if args.data is None and not DEFAULT_FOLDER.is_dir():
        raise DataError(f"nothing to train on: name rows of your own with --config FILE, {OR_DATA}")
    chosen = semantic if args.detector == semantic.NAME else lexical
    output = args.output or chosen.MODEL_FOLDER
    version = _pipeline(chosen.NAME)(args.data or DEFAULT_FOLDER, output, _say)
    _say(f"wrote model {version} and its card to {output}")
    return 0


def _pipeline(name: str) -> Callable[[Path, Path, Callable[[str], None]], str]:
    if name == semantic.NAME:
        from detectors.semantic.pipeline import train_and_describe  # noqa: PLC0415 - as below
    else:
        from detectors.pipeline import train_and_describe  # noqa: PLC0415 - imports scikit-learn, which takes seconds
    return train_and_describe


def _retrain(args: argparse.Namespace) -> int:
    from detectors import html_report  # noqa: PLC0415 - as above
    from detectors.retraining import config, train  # noqa: PLC0415 - as above

    if args.html:
        html_report.check()  # now, not after the work
    found = config.read(args.config)
    found = replace(found, check_rows=(*found.check_rows, *args.check_rows))
    retrained = train.retrain(found, _say)
    report = retrained.report
    _print(report.lines(), args.report)
    if args.html:
        title = f"{report.name}: before and after"
        page = html_report.render(retrained.evaluated, title, report.page())
        _write(args.html, page)
    _say(f"wrote model {report.version} and its card to {found.output}")
    return 0


def calibrate(args: argparse.Namespace) -> int:
    """Fit the calibration, print the report."""
    from detectors.retraining.calibrate import recalibrate  # noqa: PLC0415 - as above

    _print(recalibrate(args.model, args.rows, args.output, args.seed), args.report)
    _say(f"wrote the model and its card to {args.output}")
    return 0


def _print(lines: list[str], report: Path | None) -> None:
    text = "\n".join(lines)
    print(text)  # noqa: T201
    if report:
        _write(report, text + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
    _say(f"wrote {path}")


def _say(words: str) -> None:
    print(words, file=sys.stderr)  # noqa: T201
