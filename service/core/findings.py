"""What a check of an installation finds, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check ended. What could not be checked is an outcome of its own, never "ok"."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "could-not-check"


@dataclass(frozen=True, slots=True)
class Finding:
    """How a check ended: what was found, and what to do, which is nothing if all is well."""

    status: Status
    found: str
    to_do: str = ""


def ok(found: str) -> Finding:
    """All is well."""
    return Finding(Status.OK, found)


def problem(found: str, to_do: str) -> Finding:
    """Something is wrong."""
    return Finding(Status.PROBLEM, found, to_do)


def unknown(found: str, to_do: str) -> Finding:
    """It could not be found out whether anything is wrong."""
    return Finding(Status.UNKNOWN, found, to_do)
