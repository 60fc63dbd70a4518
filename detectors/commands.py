"""`watchgate detectors …`: list, train, calibrate, evaluate, score.

JSON goes to stdout alone, words to stderr. Exit codes: 0 fine, 1 found a problem, 2 wrong usage.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from detectors import explaining, lexical, rules_command
from detectors.api import Detector, InlineDetector, Part, Sample
from detectors.choosing import choose
from detectors.data import DEFAULT_FOLDER, OR_DATA
from detectors.errors import ArtefactError, DataError, DetectorError
from detectors.reading import unreadable
from detectors.registry import FACTORIES
from detectors.retraining import command as retraining

if TYPE_CHECKING:
    from detectors import pipeline

Handler = Callable[[argparse.Namespace], int]
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
"""What `ArgumentParser.add_subparsers()` returns; argparse has no public name for it."""


def add_parser(subparsers: Subparsers) -> None:
    """Add `detectors` and its commands; each sets `run`, a handler that gives an exit code."""
    parser = subparsers.add_parser("detectors", help="list, train, evaluate and try detectors")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add = partial(leaf, commands)
    _add_list(commands)
    retraining.add_train(add, answers_with_exit_code)
    retraining.add_calibrate(add, answers_with_exit_code)
    _add_evaluate(commands)
    _add_score(commands)
    rules_command.add_check_rules(add, answers_with_exit_code)


def answers_with_exit_code(handler: Handler) -> Handler:
    """Turn what goes wrong with data and models into one line and an exit code."""

    @wraps(handler)
    def run(args: argparse.Namespace) -> int:
        try:
            return handler(args)
        except DetectorError as error:
            _say(f"error: {error}")
            return 2 if isinstance(error, DataError) else 1

    return run


def _add_list(commands: Subparsers) -> None:
    parser = leaf(commands, "list", "which detectors there are", "watchgate detectors list --json")
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    parser.set_defaults(run=list_detectors)


def _add_evaluate(commands: Subparsers) -> None:
    example = "watchgate detectors evaluate --data ../shared/data --html report.html"
    parser = leaf(commands, "evaluate", "report quality, and compare with the floors", example)
    _add_data(parser)
    for flag, takes, words in _EVALUATE_LISTS:
        parser.add_argument(flag, action="append", default=[], metavar=takes, help=words)
    parser.add_argument("--model", type=Path, help="folder of a model, as --detector")
    parser.add_argument(
        "--floors", type=Path, help="TOML file of floors (default: those shipped with a detector)"
    )
    parser.add_argument(
        "--per-source",
        type=_count,
        metavar="N",
        help="at most so many rows of each source of the data folder (default: all)",
    )
    parser.add_argument(
        "--battery-rows",
        type=_count,
        default=150,
        metavar="N",
        help="rows of each source that the robustness battery transforms, "
        "and whose beginnings are scored; 0 leaves both out",
    )
    parser.add_argument(
        "--baselines", action="store_true", help="train the field's baselines and report on them"
    )
    parser.add_argument("--cost", action="store_true", help="measure processor time, too")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with plots")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=evaluate)


_EVALUATE_LISTS = (
    ("--detector", "NAME", "a detector's name or the folder of a model; may be repeated"),
    ("--rows", "FILE", "JSONL file of vetted rows of your own; may be repeated"),
    ("--vetted", "SOURCE", "a source whose categories people have vetted; may be repeated"),
)


def _add_score(commands: Subparsers) -> None:
    example = "watchgate detectors score --input rows.jsonl --output scores.jsonl"
    purpose = "score one text and print JSON, or the rows of a file"
    parser = leaf(commands, "score", purpose, example)
    parser.add_argument("file", nargs="?", type=Path, help="UTF-8 text file (default: stdin)")
    parser.add_argument(
        "--input", type=Path, help="JSON lines of {id, text, response?}, instead of one text"
    )
    parser.add_argument(
        "--output", type=Path, help="where a line {id, misuse, categories} for each row goes"
    )
    parser.add_argument(
        "--detector",
        default=lexical.NAME,
        metavar="NAME",
        help="a detector's name or the folder of a model (default: lexical)",
    )
    parser.add_argument(
        "--part",
        choices=[str(Part.PROMPT), str(Part.ANSWER)],
        help="what the one text is (default: prompt)",
    )
    parser.add_argument("--explain", action="store_true", help="say what the scores rest on, too")
    parser.set_defaults(run=score)


def _count(text: str) -> int:
    """Read a number of rows, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=DEFAULT_FOLDER,
        help="folder with licences.tsv, train_pool/ and dev/ (default: ../shared/data)",
    )


def leaf(commands: Subparsers, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
    """Add a command with its purpose and an example of its use."""
    return commands.add_parser(
        name,
        help=purpose,
        description=purpose,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


@answers_with_exit_code
def list_detectors(args: argparse.Namespace) -> int:
    """Print name, version, parts and engine of each detector; only inline ones have an engine."""
    entries = [_entry(name) for name in sorted(FACTORIES)]
    if args.json:
        _print_json(entries)
    else:
        for it in entries:
            print("  ".join([it["name"], *_words(it)]))  # noqa: T201
    return 0


def _words(entry: Mapping[str, Any]) -> list[str]:
    if "missing" in entry:
        return [entry["missing"]]
    engine = [f"inline: {entry['engine']}"] if entry["engine"] else []
    return [entry["version"], ", ".join(entry["parts"]), *engine]


def _entry(name: str) -> dict[str, Any]:
    try:
        detector = FACTORIES[name]()
    except ArtefactError as error:  # what runs it is not installed on every machine
        return {"name": name, "missing": str(error)}
    return {
        "name": detector.name,
        "version": detector.version,
        "parts": sorted(detector.parts),
        "engine": detector.engine if isinstance(detector, InlineDetector) else None,
    }


@answers_with_exit_code
def evaluate(args: argparse.Namespace) -> int:
    """Print the report; 1 when a figure misses its floor, or ways of scoring disagree."""
    from detectors import comparison, html_report, pipeline  # noqa: PLC0415 - imports scikit-learn, seconds

    if args.html:
        html_report.check()  # now, not after minutes of work
    evaluated, wrong = pipeline.evaluate_against_floors(_request(args), _say)
    if args.html:
        _write(args.html, html_report.render(evaluated))
    if args.json:
        _print_json(comparison.all_as_json(evaluated))
    else:
        print("\n".join(comparison.as_markdown(evaluated)))  # noqa: T201
    for sentence in wrong:
        _say(sentence)
    return 1 if wrong else 0


def _request(args: argparse.Namespace) -> "pipeline.Request":
    """Return what the arguments ask for; rows of one's own do without the data folder."""
    from detectors import pipeline  # noqa: PLC0415 - as above

    is_left_out = args.data == DEFAULT_FOLDER and not DEFAULT_FOLDER.is_dir()
    if is_left_out and not args.rows:
        raise DataError(
            f"nothing to evaluate on: name rows of your own with --rows FILE, {OR_DATA}"
        )
    models = [str(args.model)] if args.model else []
    return pipeline.Request(
        data=None if is_left_out else args.data,
        names=[*args.detector, *models] or [lexical.NAME],
        rows=[Path(name) for name in args.rows],
        floors=args.floors,
        vetted=args.vetted,
        battery_rows=args.battery_rows,
        per_source=args.per_source,
        with_baselines=args.baselines,
        with_cost=args.cost,
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
    _say(f"wrote {path}")


@answers_with_exit_code
def score(args: argparse.Namespace) -> int:
    """Score one text, or with --input and --output the rows of a file."""
    if (args.input is None) != (args.output is None) or (args.input and args.file):
        raise DataError("rows need both --input and --output, and no file beside them")
    if args.input and args.explain:
        raise DataError("--explain is for one text: leave out --input and --output")
    if args.input and args.part:
        raise DataError("--part is for one text: a row with a response is scored as an answer")
    detector = choose(args.detector).detector
    if args.input:
        return _score_rows(detector, args.input, args.output)
    sample = Sample(_text(args.file), Part(args.part or Part.PROMPT))
    [scores] = detector.score([sample])
    found = {str(category): probability for category, probability in scores.items()}
    why = {"reasons": explaining.told(detector, sample)} if args.explain else {}
    _print_json({"detector": detector.name, "version": detector.version, "scores": found} | why)
    return 0


def _score_rows(detector: Detector, source: Path, target: Path) -> int:
    from detectors.score_rows import score_rows  # noqa: PLC0415 - needed for this alone

    count = score_rows(detector, source, target, show_progress=sys.stderr.isatty())
    _say(f"scored {count} rows by {detector.name} {detector.version} into {target}")
    return 0


def _text(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path or Path("stdin"), error, "a file of UTF-8 text") from None


def _print_json(value: object) -> None:
    print(json.dumps(value))  # noqa: T201


def _say(words: str) -> None:
    print(words, file=sys.stderr)  # noqa: T201
