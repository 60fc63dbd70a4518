"""Rule files: what is refused, and in which words."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors import rules
from detectors.api import Category, Part
from detectors.errors import ArtefactError, DataError
from detectors.rules.loading import read_all, read_file
from detectors.rules.schema import KEYS

GOOD: dict[str, Any] = {
    "id": "tea",
    "category": "other",
    "parts": ["prompt"],
    "description": "Speaks of tea.",
    "probability": 0.5,
    "pattern": r"\btea\b",
    "tests": {"match": ["a cup of tea"], "no_match": ["a teapot"]},
}
EXCHANGE = {"tests": {"match": [{"prompt": "p", "answer": "tea"}], "no_match": ["a"]}}


def written(folder: Path, *entries: dict[str, Any], name: str = "ours.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump({"rules": list(entries)}), encoding="utf-8")
    return path


def test_a_good_rule_is_read(tmp_path: Path) -> None:
    [rule] = read_all([written(tmp_path, GOOD)])

    assert (rule.id, rule.category, rule.parts) == ("tea", Category.OTHER, (Part.PROMPT,))
    assert rule.probability == 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "Tea Time"}, "id is 'Tea Time', but must be kebab-case"),
        ({"category": "tea"}, "category is 'tea', but must be one of: any, bio"),
        ({"parts": []}, "parts is [], but must be a list with one entry at least"),
        ({"parts": ["promt"]}, "parts is 'promt', but must be one of: prompt, answer, exchange"),
        ({"description": " "}, "description is ' ', but must be a sentence"),
        ({"probability": 0}, "probability is 0, but must be a number above 0 and at most 1"),
        ({"probability": 1.5}, "probability is 1.5, but must be a number above 0"),
        ({"probability": True}, "probability is True, but must be a number"),
        ({"probability": float("nan")}, "probability is nan, but must be a number"),
        ({"pattern": "(?=tea)"}, "which RE2 refuses: invalid perl operator: (?="),
        ({"pattern": r"(t)\1"}, "which RE2 refuses: invalid escape sequence"),
        ({"pattern": "(tea)*"}, "which matches the empty text"),
        ({"pattern": 7}, "pattern is 7, but must be a list"),
        ({"pattern": ["tea", 7]}, "pattern holds 7, but must hold texts"),
        ({"flags": ["loud"]}, "flags is 'loud', but must be one of: ignore_case"),
        ({"text": "cooked"}, "text is 'cooked', but must be one of: normalised, raw"),
        ({"secret": "tea_key"}, "secret is 'tea_key', but must be of: aws_access_key"),
        ({"encoded": ["morse"]}, "encoded is 'morse', but must be one of: base64"),
        ({"fuzzy": {"signatures": "none.json", "least": 0.5}}, "none.json cannot be read"),
        ({"fuzzy": {"least": 0.5}}, "fuzzy must name a file of signatures"),
        ({"fuzzy": []}, "fuzzy is [], but must be a mapping with signatures, least"),
        ({"canary": {}}, "canary must have plain or sha256"),
        ({"canary": {"plain": ["short"]}}, "canary has a plain one of fewer than 12 bytes"),
        ({"canary": {"sha256": ["ABC"]}}, "canary has a sha256 that is not 64 digits"),
        ({"canary": {"md5": ["a"]}}, "canary has the key 'md5', but may have plain, sha256"),
        ({"prompt_pattern": "tea"}, "prompt_pattern needs the prompt beside the answer"),
        ({"unless_in_prompt": True}, "unless_in_prompt needs the prompt beside the answer"),
        ({"unless_in_prompt": "yes"}, "unless_in_prompt is 'yes', but must be true or false"),
        ({"tests": {"match": ["tea"]}}, "tests lacks no_match"),
        ({"tests": {"match": ["tea"], "no_match": []}}, "tests is [], but must be a list"),
        ({"tests": {"match": [{"prompt": "p"}], "no_match": ["a"]}}, "without the texts prompt"),
        (EXCHANGE, "tests hold an exchange, but parts has none"),
        ({"patern": "tea"}, "the key 'patern' is not known; did you mean pattern?"),
        ({"zzz": 1}, "the key 'zzz' is not known; there are: id, category"),
    ],
)
def test_a_mistake_is_told_with_file_rule_and_key(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = written(tmp_path, GOOD | changes)

    with pytest.raises(ArtefactError) as caught:
        rules.load([path])

    message = str(caught.value)
    assert message.startswith(f"{path}, rule ")
    assert words in message


@pytest.mark.parametrize("key", [name for name, key in KEYS.items() if key.is_needed])
def test_a_needed_key_that_is_missing_is_told(tmp_path: Path, key: str) -> None:
    path = written(tmp_path, {name: value for name, value in GOOD.items() if name != key})

    with pytest.raises(ArtefactError, match=f"the key {key} is missing"):
        rules.load([path])


def test_a_rule_without_a_matcher_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {name: value for name, value in GOOD.items() if name != "pattern"})

    with pytest.raises(ArtefactError, match="it has no matcher; give it one of: pattern, secret"):
        rules.load([path])


@pytest.mark.parametrize(("key", "value"), [("flags", ["ignore_case"]), ("text", "raw")])
def test_what_speaks_of_a_pattern_needs_one(tmp_path: Path, key: str, value: object) -> None:
    changed = {**GOOD, "encoded": ["hex"], key: value}
    del changed["pattern"]

    with pytest.raises(ArtefactError, match=f"{key} is there, but speaks of pattern"):
        rules.load([written(tmp_path, changed)])


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    written(tmp_path, GOOD | {"id": "A"}, GOOD | {"probability": 2}, name="a.yaml")
    written(tmp_path, GOOD | {"category": "x"}, name="b.yaml")

    with pytest.raises(ArtefactError) as caught:
        rules.load([tmp_path])

    assert len(str(caught.value).splitlines()) == 3


def test_an_id_that_is_taken_is_refused_across_files(tmp_path: Path) -> None:
    first, second = written(tmp_path, GOOD), written(tmp_path, GOOD, name="theirs.yaml")

    with pytest.raises(ArtefactError, match='rule "tea": id is taken by a rule of'):
        rules.load([first, second])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("rules:\n  - id: tea\n    id: coffee\n", "line 3: the key 'id' comes twice"),
        ("rules: [", "line 1: while parsing|line 1: did not find|line 1: expected"),
        ("rules: []", "must hold the one key rules"),
        ("- tea", "must hold the one key rules"),
        ("rules: [tea]", "rule 1: is 'tea', but must be a mapping"),
        ("rules: [1]\nextra: 2", "must hold the one key rules"),
        ("", "must hold the one key rules"),
        ("[" * 1_000, "nested too deeply"),
        ("? [a]\n: b", "unhashable|must hold|is not YAML"),
    ],
)
def test_what_is_no_rule_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(content)

    with pytest.raises(ArtefactError, match=words):
        rules.load([path])


def test_a_file_that_is_not_there_is_told_as_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_file(tmp_path / "none.yaml")


def test_a_folder_without_rules_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \*\.yaml"):
        rules.load([tmp_path])


def test_no_paths_are_refused() -> None:
    with pytest.raises(DataError, match="no rule file is named"):
        rules.load([])


def test_the_version_changes_with_a_rule_file(tmp_path: Path) -> None:
    before = rules.load([written(tmp_path, GOOD)]).version

    assert rules.load([written(tmp_path, GOOD)]).version == before
    assert rules.load([written(tmp_path, GOOD | {"probability": 0.6})]).version != before
