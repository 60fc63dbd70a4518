"""Kinds of misuse that look different: a request for harm, a jailbreak around it, an injection.

One direction cannot tell all of them from what is benign; one for each, and the surest counts, can.
"""

from collections.abc import Collection
from enum import StrEnum

from detectors.api import Category


class Kind(StrEnum):
    """How misuse comes."""

    REQUEST = "request"
    """What is asked for, or said, is harmful in itself."""
    JAILBREAK = "jailbreak"
    """It is wrapped in what is to talk a model out of its safeguards."""
    INJECTION = "injection"
    """It is to take over what the model was told to do, and need not be harmful in itself."""


def kind_of(categories: Collection[Category]) -> Kind:
    """Return the kind of misuse of these categories."""
    if Category.JAILBREAK in categories:
        return Kind.JAILBREAK
    return Kind.INJECTION if set(categories) == {Category.PROMPT_INJECTION} else Kind.REQUEST
