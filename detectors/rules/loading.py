"""Rule files read and checked; every problem of a file is told, not the first alone."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from detectors.api import Part
from detectors.errors import ArtefactError, DataError
from detectors.rules import strict_yaml
from detectors.rules.rule import Rule
from detectors.rules.schema import KEYS, MATCHERS, WrongValueError, shown


@dataclass(slots=True)
class RuleFile:
    """What a file says: rules that can be used, and sentences about what cannot."""

    path: Path
    rules: list[Rule] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Return the rule files: of a folder its `*.yaml`, by name."""
    found = [file for path in paths for file in _files(path)]
    if not found:
        raise DataError("no rule file is named")
    return found


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.yaml"))
    if not found:
        raise DataError(f"{path} holds no *.yaml; name a rule file, or a folder of them")
    return found


def read_file(path: Path) -> RuleFile:
    """Read one file; raises `DataError` where it cannot be read, and tells all else as problems."""
    found = RuleFile(path)
    try:
        content = strict_yaml.read(path)
    except ArtefactError as error:
        found.problems.append(str(error))
        return found
    entries = content.get("rules") if isinstance(content, dict) and len(content) == 1 else None
    if not isinstance(entries, list) or not entries:
        found.problems.append(f"{path} must hold the one key rules, with a list of rules")
        return found
    for number, entry in enumerate(entries, start=1):
        _add(found, number, entry)
    return found


def _add(file: RuleFile, number: int, entry: object) -> None:
    if not isinstance(entry, dict):
        sentence = f"is {shown(entry)}, but must be a mapping"
        file.problems.append(f"{file.path}, rule {number}: {sentence}")
        return
    name = f'"{entry["id"]}"' if isinstance(entry.get("id"), str) else str(number)
    values: dict[str, Any] = {}
    sentences = [*_unknown(entry), *_read(entry, file.path.parent, values)]
    if not sentences:
        sentences = list(_wrong_together(values))
    file.problems += [f"{file.path}, rule {name}: {sentence}" for sentence in sentences]
    if not sentences:
        file.rules.append(Rule(**values))


def _unknown(entry: Mapping[Any, Any]) -> Iterator[str]:
    for key in entry:
        if key in KEYS:
            continue
        near = get_close_matches(str(key), KEYS, n=1)
        advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(KEYS)}"
        yield f"the key {shown(key)} is not known; {advice}"


def _read(entry: Mapping[Any, Any], folder: Path, values: dict[str, Any]) -> Iterator[str]:
    """Fill `values`, and yield what is wrong."""
    for name, key in KEYS.items():
        if name not in entry:
            if key.is_needed:
                yield f"the key {name} is missing; every rule has one"
            continue
        try:
            values[name] = key.read(entry[name], folder)
        except WrongValueError as error:
            yield f"{name} {error}"


def _wrong_together(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with keys that are each right alone."""
    if not any(key in values for key in MATCHERS):
        yield f"it has no matcher; give it one of: {', '.join(MATCHERS)}"
    if "text" in values and "pattern" not in values:
        yield "text is there, but speaks of pattern, which is not"
    if "flags" in values and not {"pattern", "prompt_pattern"} & values.keys():
        yield "flags is there, but speaks of pattern, which is not"
    for key in ("prompt_pattern", "unless_in_prompt"):
        if key in values and values["parts"] != (Part.EXCHANGE,):
            yield f"{key} needs the prompt beside the answer: parts must be [exchange]"
    tests = values["tests"]
    if Part.EXCHANGE not in values["parts"] and any(
        it.prompt for it in (*tests.match, *tests.no_match)
    ):
        yield "tests hold an exchange, but parts has none"


def read_all(paths: Sequence[Path]) -> list[Rule]:
    """Return the rules of all files; raises `ArtefactError` that tells every problem."""
    files = [read_file(path) for path in files_of(paths)]
    problems = [problem for file in files for problem in file.problems]
    problems += same_ids(files)
    if problems:
        raise ArtefactError("\n".join(problems))
    return [rule for file in files for rule in file.rules]


def same_ids(files: Sequence[RuleFile]) -> list[str]:
    """Return a sentence for each id that was taken before."""
    owners: dict[str, Path] = {}
    found = []
    for file in files:
        for rule in file.rules:
            if rule.id in owners:
                found.append(
                    f'{file.path}, rule "{rule.id}": id is taken by a rule of {owners[rule.id]}; '
                    "each rule needs its own"
                )
            owners.setdefault(rule.id, file.path)
    return found


def digest_of(paths: Sequence[Path], rules: Sequence[Rule]) -> str:
    """Return a digest of all rule files, and of the signatures that their rules name."""
    found = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of(paths)]
    found += [rule.fuzzy.signatures.digest for rule in rules if rule.fuzzy]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()
