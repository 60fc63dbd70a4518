"""The shipped detectors as one: what `lexical` sees, `semantic` weighs again, `rules` overrule.

This is for rows and for measuring: every stage sees every text. On traffic the same stages are put
together by the settings (`kind: cascade`), with a band and a budget for the dear one.
"""

from typing import Final

from detectors import lexical, rules, semantic
from detectors.cascade import Cascade, Combine, Stage

NAME: Final = "suite"


def load() -> Cascade:
    """Load all of them.

    Raises:
        ArtefactError: a model is not to be trusted, or what runs the encoder is not installed.
    """
    stages = [
        Stage(lexical.load()),
        Stage(semantic.load()),
        Stage(rules.load(), Combine.MAX),
    ]
    return Cascade(NAME, stages)
