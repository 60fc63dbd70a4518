"""The texts that a rule is tried on, with what should not stand in a file filled in.

`{{secret:NAME}}` becomes a made-up secret of that format, `{{base64:…}}`, `{{hex:…}}`,
`{{percent:…}}` and `{{rot13:…}}` what stands in them, encoded; one may stand within another.
"""

import base64
import codecs
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from detectors.api import Part
from detectors.rules.book import Book
from detectors.rules.rule import Example, Rule
from detectors.rules.secret_formats import FORMATS

_BLANK = re.compile(r"\{\{([a-z0-9]+):([^{}]*)\}\}")
_DEPTH = 4  # blanks within blanks

_FILLERS: Mapping[str, Callable[[str], str]] = {
    "secret": lambda name: FORMATS[name].example(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "rot13": lambda text: codecs.encode(text, "rot13"),
}


def filled(text: str) -> str:
    """Fill in what stands in braces; what is not known stays as it is."""
    for _ in range(_DEPTH):
        text = _BLANK.sub(_fill, text)
    return text


def _fill(found: re.Match[str]) -> str:
    try:
        return _FILLERS[found[1]](found[2])
    except KeyError:
        return found[0]


def problems_of(rules: Sequence[Rule]) -> Iterator[str]:
    """Yield a sentence for each example that its rule gets wrong, in each of its parts.

    Examples are told by their number: they may be what one does not want on a screen.
    """
    for rule in rules:
        for part in rule.parts:
            book = Book([rule])
            yield from _wrong(rule, part, book, "match", rule.tests.match)
            yield from _wrong(rule, part, book, "no_match", rule.tests.no_match)


def _wrong(
    rule: Rule, part: Part, book: Book, key: str, examples: Sequence[Example]
) -> Iterator[str]:
    for number, example in enumerate(examples, start=1):
        is_found = bool(book.found(filled(example.text), filled(example.prompt)))
        if is_found != (key == "match"):
            does = "does not match" if key == "match" else "matches"
            yield f'rule "{rule.id}" as {part}: {does} text {number} of tests.{key}'
