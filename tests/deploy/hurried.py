"""Alert rules at sixty times the speed: what they count minutes for, they count seconds for.

Ranges, offsets and `for` are shortened; thresholds stay, also those that are seconds. A range keeps
at least enough scrapes for a rate, and at most what a test has time for.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

SPEED: Final = 60
SHORTEST_RANGE_S: Final = 5
LONGEST_RANGE_S: Final = 30
SHORTEST_FOR_S: Final = 2
LONGEST_FOR_S: Final = 5
_UNITS_S: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_RANGE: Final = re.compile(r"(?<=\[)(\d+)([smhdw])(?=\])")
_OFFSET: Final = re.compile(r"(?<=offset )(\d+)([smhdw])")


def hurried(rules: Path, folder: Path, without: frozenset[str] = frozenset()) -> Path:
    """Write the rules of a file so, `without` some alerts; return the file, of the same name."""
    document: dict[str, Any] = yaml.safe_load(rules.read_text())
    for group in document["groups"]:
        group["rules"] = [it for it in group["rules"] if it.get("alert") not in without]
    for rule in (it for group in document["groups"] for it in group["rules"]):
        for pattern in (_RANGE, _OFFSET):
            rule["expr"] = pattern.sub(_shorter, rule["expr"])
        if "for" in rule:
            seconds = int(rule["for"][:-1]) * _UNITS_S[rule["for"][-1]]
            rule["for"] = f"{_held(seconds, SHORTEST_FOR_S, LONGEST_FOR_S)}s"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / rules.name
    copy.write_text(yaml.safe_dump(document))
    return copy


def _shorter(duration: re.Match[str]) -> str:
    seconds = int(duration[1]) * _UNITS_S[duration[2]]
    return f"{_held(seconds, SHORTEST_RANGE_S, LONGEST_RANGE_S)}s"


def _held(seconds: int, least: int, most: int) -> int:
    return min(max(seconds // SPEED, least), most)
