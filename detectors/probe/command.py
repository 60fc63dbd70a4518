"""`watchgate probes …`: collect states, train and evaluate probes, bind them to a model.

JSON goes to stdout alone, words to stderr. Exit codes: 0 fine, 1 found a problem, 2 wrong usage.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from detectors.commands import Subparsers, answers_with_exit_code, leaf
from detectors.data import (
    DEFAULT_FOLDER,
    OR_DATA,
    Row,
    cap_sources,
    dev_rows,
    read_rows,
    training_rows,
)
from detectors.errors import DataError
from detectors.probe import MODEL_FOLDER

_VLLM: Final = ".venv-vllm/bin/python"
"""Where `watchgate vllm --prepare` puts the Python that has vLLM, in the source tree or here."""
_ROWS: Final = "JSONL file of labelled rows of your own, in place of --data; may be repeated"


def add_parser(subparsers: Subparsers) -> None:
    """Add `probes` and its commands; each sets `run`, a handler that gives an exit code."""
    parser = subparsers.add_parser("probes", help="train probes for the inside of a served model")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add = partial(leaf, commands)
    _add_collect(add)
    _add_train(add)
    _add_evaluate(add)
    _add_bind(add)


Add = Callable[[str, str, str], argparse.ArgumentParser]


def _add_collect(add: Add) -> None:
    parser = add(
        "collect",
        "read labelled rows with a model, and keep its states: what probes learn from",
        "watchgate probes collect --model /models/mine --rows labelled.jsonl --output states",
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the served model")
    parser.add_argument("--output", type=Path, required=True, help="folder of the states")
    _add_rows(parser)
    parser.add_argument(
        "--split",
        choices=["train", "dev"],
        default="train",
        help="of the data folder: what trains, or what is reported on (default: train)",
    )
    parser.add_argument(
        "--layers",
        type=_numbers,
        default=(),
        metavar="N,N,…",
        help="whose entrance is kept (default: five in the middle of the model)",
    )
    parser.add_argument("--max-tokens", type=_count, default=512, help="of a text (default: 512)")
    parser.add_argument("--prompts-per-source", type=_count, default=300, help="(default: 300)")
    parser.add_argument("--answers-per-source", type=_count, default=900, help="(default: 900)")
    parser.add_argument(
        "--dtype",
        choices=["bfloat16", "float16", "float32"],
        default="bfloat16",
        help="what the model computes in (default: bfloat16)",
    )
    parser.add_argument(
        "--python",
        type=Path,
        help="one that has torch and transformers (default: that of `watchgate vllm`)",
    )
    parser.set_defaults(run=answers_with_exit_code(collect))


def _add_train(add: Add) -> None:
    parser = add(
        "train",
        "train probes and their heads on states",
        "watchgate probes train --states states --output /models/probes",
    )
    parser.add_argument("--states", type=Path, required=True, help="folder of states to learn from")
    parser.add_argument("--output", type=Path, required=True, help="folder of the probes")
    parser.add_argument(
        "--check-states",
        type=Path,
        metavar="DIR",
        help="states of other rows, which the card reports on",
    )
    _add_rows(parser)
    _add_beside(parser)
    parser.set_defaults(run=answers_with_exit_code(train))


def _add_evaluate(add: Add) -> None:
    parser = add(
        "evaluate",
        "report on probes beside other detectors, and together with each",
        "watchgate probes evaluate --states checked --rows checked.jsonl",
    )
    parser.add_argument("--states", type=Path, required=True, help="folder of the rows' states")
    _add_probes(parser)
    _add_rows(parser)
    _add_beside(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with plots")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=answers_with_exit_code(evaluate))


def _add_bind(add: Add) -> None:
    parser = add(
        "bind",
        "let probes arm on other weights of the same shape; their digest changes",
        "watchgate probes bind --probes /models/probes --model /models/mine-v2",
    )
    parser.add_argument("--probes", type=Path, required=True, help="folder of the probes")
    parser.add_argument("--model", type=Path, required=True, help="folder of the served model")
    parser.set_defaults(run=answers_with_exit_code(bind))


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=DEFAULT_FOLDER,
        help="folder with licences.tsv, train_pool/ and dev/ (default: ../shared/data)",
    )
    parser.add_argument(
        "--rows", type=Path, action="append", default=[], metavar="FILE", help=_ROWS
    )


def _add_beside(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="NAME",
        help="a detector to compare and combine with (default: lexical); may be repeated",
    )


def _add_probes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probes", type=Path, default=MODEL_FOLDER, help="their folder (default: those shipped)"
    )


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(it.isdecimal() for it in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of layers such as 8,12,16")
    return tuple(map(int, parts))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number over 0")
    return int(text)


def collect(args: argparse.Namespace) -> int:
    """Keep the states of rows."""
    from detectors.probe import collecting, states  # noqa: PLC0415  (numpy: for who needs it)

    rows = _capped(_rows(args, args.split), args)
    tree = Path(__file__).resolve().parents[2]
    found = (it for it in (tree / _VLLM, Path(_VLLM)) if it.exists())
    python = args.python or next(found, Path(sys.executable))
    plan = states.Plan(args.model, args.layers, args.max_tokens, args.dtype, python)
    collecting.collect(rows, plan, args.output, _say, show_progress=sys.stderr.isatty())
    _say(f"the states of {len(rows)} rows are in {args.output}")
    return 0


def _capped(rows: Sequence[Row], args: argparse.Namespace) -> list[Row]:
    prompts = cap_sources([it for it in rows if it.response is None], args.prompts_per_source)
    return prompts + cap_sources([it for it in rows if it.response], args.answers_per_source)


def train(args: argparse.Namespace) -> int:
    """Train probes."""
    from detectors.probe import pipeline  # noqa: PLC0415  (imports scikit-learn, seconds)

    check = None
    if args.check_states:
        check = args.check_states, _rows(args, "dev"), args.beside or ["lexical"]
    digest = pipeline.train_and_describe(args.states, args.output, check, _say)
    _say(f"wrote the probes {digest}, their heads and their card to {args.output}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Print a report."""
    from detectors import comparison, html_report  # noqa: PLC0415  (as above)
    from detectors.probe import pipeline  # noqa: PLC0415

    if args.html:
        html_report.check()  # now, not after the work
    rows, beside = _rows(args, "dev"), args.beside or ["lexical"]
    evaluated = pipeline.evaluate_on(args.probes, args.states, rows, beside, _say)
    if args.html:
        args.html.write_text(html_report.render(evaluated), encoding="utf-8")
    if args.json:
        print(json.dumps(comparison.all_as_json(evaluated)))  # noqa: T201
    else:
        print("\n".join(comparison.as_markdown(evaluated)))  # noqa: T201
    return 0


def bind(args: argparse.Namespace) -> int:
    """Bind probes to other weights."""
    from detectors.probe import binding  # noqa: PLC0415  (as above)

    before, after = binding.bind(args.probes, args.model)
    _say(f"the probes {before} are now {after}, and arm on {args.model}")
    if before != after:
        _say("what they say of it was not measured: collect its states, and evaluate them")
    return 0


def _rows(args: argparse.Namespace, split: str) -> list[Row]:
    """Return the rows that the arguments name.

    Raises:
        DataError: there are none.
    """
    if args.rows:
        return [row for path in args.rows for row in read_rows(path)]
    if args.data == DEFAULT_FOLDER and not DEFAULT_FOLDER.is_dir():
        raise DataError(f"there are no rows: name rows of your own with --rows FILE, {OR_DATA}")
    return training_rows(args.data) if split == "train" else dev_rows(args.data)


def _say(words: str) -> None:
    print(words, file=sys.stderr)  # noqa: T201
