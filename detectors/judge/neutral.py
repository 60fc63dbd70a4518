"""Takes from a judged text what a guard's template would read as its own.

A server turns the rendered template into tokens, and a text that spells one of the model's
special tokens becomes that token: the text could end its own message and begin a system's.
Templates have plain words for marks, too. Both are broken here, in a way that a reader still sees
what stood there: a space is put in, or a role is put in brackets.
"""

import re
from typing import Final

_SURROGATES: Final = re.compile("[\ud800-\udfff\x00]")
_OPENING: Final = re.compile("<(?=[|\uff5c])")
_CLOSING: Final = re.compile("([|\uff5c])(?=>)")
_TAGS: Final = re.compile(
    r"<(?=/?(?:s|unk|pad|mask|cls|sep|bos|eos|think|tool_call|tool_response|tools)>)", re.IGNORECASE
)
_BRACKETS: Final = re.compile(r"\[(?=/?(?:CLS|SEP|PAD|MASK|UNK|BOS|EOS|INST)\])")
_MARKS: Final = re.compile(r"<(?=/?(?:BEGIN|END)\b)", re.IGNORECASE)
_ROLES: Final = re.compile(
    "(?<![^\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029])"  # a line starts here
    "([^\\S\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]*)"
    "(user|assistant|system|developer)[ \t*]*[:\uff1a]",
    re.IGNORECASE,
)


def encodable(text: str) -> str:
    """Replace what UTF-8 or a tokenizer cannot take: lone surrogates and NUL."""
    return _SURROGATES.sub("\ufffd", text)


def without_tokens(text: str) -> str:
    """Break what spells a special token of any of the usual models, such as `<|im_end|>`."""
    text = _CLOSING.sub(r"\1 ", _OPENING.sub("< ", encodable(text)))
    return _BRACKETS.sub("[ ", _TAGS.sub("< ", text))


def without_roles(text: str) -> str:
    """Break, besides special tokens, the marks and role names of a conversation in plain words."""
    return _ROLES.sub(r"\1(\2)", _MARKS.sub("< ", without_tokens(text)))
