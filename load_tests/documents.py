"""Tables that are measured, written between two marks of a document."""

import re


def written_between(document: str, mark: str, text: str) -> str:
    """The document with `text` between `<!-- measured: MARK -->` and `<!-- /measured -->`.

    Raises:
        ValueError: the document has no such marks.
    """
    found = re.compile(rf"(<!-- measured: {mark} -->\n).*?(\n<!-- /measured -->)", re.DOTALL)
    if not found.search(document):
        raise ValueError(f"the document has no <!-- measured: {mark} --> … <!-- /measured -->")
    return found.sub(lambda match: match[1] + text + match[2], document, count=1)
