"""A detector that is a set of rules people can read: YAML, matched in linear time.

What it needs is imported when it is loaded: to know its name takes neither RE2 nor numpy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detectors.rules.detector import Rules

NAME = "rules"
SHIPPED = Path(__file__).parents[1] / "models" / "rules"
"""The folder of the shipped rule set."""


def load(paths: Sequence[Path] = (SHIPPED,), name: str = NAME) -> "Rules":
    """Return the detector of rule files, or of folders of them.

    Raises:
        ArtefactError: what a file says cannot be used; tells every problem of every file.
        DataError: a file cannot be read.
    """
    from detectors.rules.detector import Rules  # noqa: PLC0415 - imports RE2 and numpy
    from detectors.rules.loading import digest_of, read_all  # noqa: PLC0415 - as above

    rules = read_all(paths)
    return Rules(rules, digest_of(paths, rules), name)
