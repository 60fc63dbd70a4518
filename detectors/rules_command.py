"""`watchgate detectors check-rules`: are these rule files right, and do their rules do as told?"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

Leaf = Callable[[str, str, str], argparse.ArgumentParser]
"""Takes a command's name, purpose and example."""
Handler = Callable[[argparse.Namespace], int]


def add_check_rules(leaf: Leaf, answers: Callable[[Handler], Handler]) -> None:
    """Add the command; `answers` turns what a handler raises into an exit code."""
    parser = leaf(
        "check-rules",
        "read rule files, and try each rule on its own examples",
        "watchgate detectors check-rules rules/ours.yaml",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="rule file, or folder")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(run=answers(check_rules))


def check_rules(args: argparse.Namespace) -> int:
    """Print each problem; 1 when there is one."""
    from detectors.rules.examples import problems_of  # noqa: PLC0415 - imports RE2 and numpy
    from detectors.rules.loading import files_of, read_file, same_ids  # noqa: PLC0415 - as above

    files = [read_file(path) for path in files_of(args.files)]
    problems = [problem for file in files for problem in file.problems]
    problems += same_ids(files)
    problems += [f"{file.path}, {it}" for file in files for it in problems_of(file.rules)]
    count = sum(len(file.rules) for file in files)
    if args.json:
        print(json.dumps({"rules": count, "problems": problems}))  # noqa: T201
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    if not problems and not args.json:
        print(f"{count} rules, each as its tests say")  # noqa: T201
    return 1 if problems else 0
