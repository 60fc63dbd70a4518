"""Documents that are followed word for word: their files are saved, their commands are run.

Fenced blocks say what is what: `console` has commands after `$ ` and what they print, a block with
`title="NAME"` is a file to be saved, and `…` stands for what the document leaves out.
"""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from service.cli import main

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
LEFT_OUT: Final = "…"
_BLOCK: Final = re.compile(
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)^```$',
    re.DOTALL | re.MULTILINE,
)
_IDS: Final = (
    (r"sk-wg-[\w-]{6}…", r"sk-wg-[\w-]{43}"),
    (r"sk-wg-[\w-]{6}", r"sk-wg-[\w-]{6}"),
    (r"\b(?:key|op|sva|adm)_[\w-]{12}", r"(?:key|op|sva|adm)_[\w-]{12}"),
    (r"\bex-[0-9a-f]{24}", r"ex-[0-9a-f]{24}"),
)
"""What an id looks like in a document, and for real."""
_CHANGES: Final = r"[0-9a-f]{64}|\b\d-[0-9a-f]{12}(?:\.\d)?|[-+]?\d[\d.,:%TZ-]*"
"""What is another with each run, each day or each model: digests, versions, numbers."""
_TOKEN: Final = re.compile(
    "|".join([*(f"(?P<id{at}>{said})" for at, (said, _) in enumerate(_IDS)),
              rf"(?P<change>{_CHANGES})", r"(?P<space>\s+)", r"(?P<word>.)"]),
    re.DOTALL,
)  # fmt: skip
_GAP: Final = re.compile(rf"\s*(?<!sk-wg-[\w-]{{6}}){LEFT_OUT}\s*")
"""What is left out between two stretches; a key ends in the same sign."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command, on one line, and what the document says it prints."""

    command: str
    output: str


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file that the reader is told to save."""

    name: str
    text: str


class Document:
    """A page of docs/."""

    def __init__(self, name: str) -> None:
        """Read the page, named by its path in docs/."""
        self.text = (DOCS / name).read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """Return what stands in the fences of a language."""
        return [block["body"] for block in self._fences() if block["language"] == language]

    def steps(self) -> Iterator[Step]:
        """Yield the commands, in order."""
        return (part for part in self.parts() if isinstance(part, Step))

    def parts(self) -> Iterator[Step | SavedFile]:
        """Yield the commands, and the files to be saved, in order."""
        for block in self._fences():
            if block["title"]:
                yield SavedFile(block["title"], block["body"])
            elif block["language"] == "console":
                yield from _steps(block["body"])

    def _fences(self) -> Iterator[re.Match[str]]:
        return _BLOCK.finditer(self.text)


def _steps(block: str) -> Iterator[Step]:
    for step in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, output = step.partition("\n")
        yield Step(command, output)


def run_watchgate(command: str) -> tuple[int, str]:
    """Run a `watchgate` command in this process; return its exit code and what it printed."""
    program, *arguments = shlex.split(command)
    assert program == "watchgate", command
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return code, out.getvalue() + err.getvalue()


def ids_of_run(
    expected: str, printed: str, known: Mapping[str, str] = MappingProxyType({})
) -> Mapping[str, str] | None:
    """Hold what was printed to what the document says, its ids being those `known` before.

    Returns:
        The id of this run for each id that the document has; None if the two differ in more than
        in what is another with each run.
    """
    stretches, said = _GAP.split(expected.strip()), printed.strip()
    ids, at = dict(known), 0
    for number, stretch in enumerate(stretches, 1):
        pattern, groups = _pattern_of(stretch, ids)
        first, last = r"\A" * (number == 1), r"\Z" * (number == len(stretches))
        found = re.compile(first + pattern + last).search(said, at)
        if found is None:
            return None
        ids |= {it: found[name] for it, name in groups.items()}
        at = found.end()
    return ids


def with_ids(text: str, real: Mapping[str, str]) -> str:
    """Put the ids of this run in place of those that the document has."""
    for said in sorted(real, key=len, reverse=True):  # a key before its prefix
        text = text.replace(said, real[said])
    return text


def _pattern_of(expected: str, known: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return a pattern for what may be printed, and the group of each id that is new."""
    parts: list[str] = []
    groups: dict[str, str] = {}
    for token in _TOKEN.finditer(expected):
        kind = str(token.lastgroup)
        if not kind.startswith("id"):
            parts.append(_pattern_of_token(kind, token[0]))
        elif token[0] in known:
            parts.append(re.escape(known[token[0]]))
        elif token[0] in groups:
            parts.append(f"(?P={groups[token[0]]})")
        else:
            groups[token[0]] = f"g{len(groups)}"
            parts.append(f"(?P<{groups[token[0]]}>{_IDS[int(kind[2:])][1]})")
    return "".join(parts), groups


def _pattern_of_token(kind: str, text: str) -> str:
    if kind == "word":
        return re.escape(text)
    return {"change": f"(?:{_CHANGES})", "space": r"\s+"}[kind]
