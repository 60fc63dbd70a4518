"""Small functions, small files: `python -m scripts.check_sizes [FOLDER ...]`.

A function's length is the number of its lines that hold code: neither its docstring, nor comments
and blank lines count, nor the functions within it, which are counted on their own. A file's length
is the number of all its lines.
"""

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDERS: Final = ("service", "detectors", "vllm_probe")
MEDIAN_UNDER: Final = 10
P90_UNDER: Final = 30
FILE_MAX: Final = 300
_SHOWN: Final = 5
_NO_CODE: Final = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """How many lines something has, and where it is."""

    lines: int
    where: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Report on the folders; return 1 when a limit is passed."""
    given = sys.argv[1:] if arguments is None else arguments
    files = sorted(file for folder in given or FOLDERS for file in Path(folder).rglob("*.py"))
    functions = [size for file in files for size in function_sizes(file)]
    lengths = [Size(len(_text(file).splitlines()), str(file)) for file in files]
    print(summary(functions, lengths))
    found = problems(functions, lengths)
    for problem in found:
        print(f"over the limit: {problem}", file=sys.stderr)
    return 1 if found else 0


def function_sizes(file: Path) -> Iterator[Size]:
    """Yield the size of each function of a file."""
    text = _text(file)
    code = _lines_of_code(text)
    for function in _functions(ast.parse(text)):
        yield Size(len(code & _own_lines(function)), f"{file}:{function.lineno} {function.name}")


def problems(functions: Sequence[Size], files: Sequence[Size]) -> list[str]:
    """Say which limits are passed."""
    found = [f"{it.where} has {it.lines} lines" for it in files if it.lines > FILE_MAX]
    middle, high = median_and_p90(functions)
    if middle >= MEDIAN_UNDER:
        found.append(f"the median function has {middle:g} lines; under {MEDIAN_UNDER} is wanted")
    if high >= P90_UNDER:
        found.append(f"one function in ten has {high:g} lines; under {P90_UNDER} is wanted")
    return found


def summary(functions: Sequence[Size], files: Sequence[Size]) -> str:
    """Give the figures and the longest of each kind."""
    middle, high = median_and_p90(functions)
    lines = [f"{len(functions)} functions: median {middle:g} lines, p90 {high:g}; longest:"]
    lines += [f"  {it.lines:4} {it.where}" for it in sorted(functions, reverse=True)[:_SHOWN]]
    lines.append(f"{len(files)} files; longest:")
    lines += [f"  {it.lines:4} {it.where}" for it in sorted(files, reverse=True)[:_SHOWN]]
    return "\n".join(lines)


def median_and_p90(sizes: Sequence[Size]) -> tuple[float, float]:
    """Return the median, and the length that nine in ten do not pass (0, 0 without functions)."""
    lengths = sorted(it.lines for it in sizes)
    if not lengths:
        return 0, 0
    return statistics.median(lengths), lengths[-(-9 * len(lengths) // 10) - 1]


def _functions(node: ast.AST) -> Iterator[Function]:
    return (child for child in ast.walk(node) if isinstance(child, Function))


def _own_lines(function: Function) -> set[int]:
    """Return the lines of a function without its docstring and the functions within it."""
    lines = _span(function)
    if ast.get_docstring(function, clean=False) is not None:
        lines -= _span(function.body[0])
    for inner in _functions(function):
        if inner is not function:
            lines -= _span(inner)
    return lines


def _span(node: Function | ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _lines_of_code(text: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        line
        for token in tokens
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
