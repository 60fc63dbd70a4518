"""The rule set that is shipped, and its documents."""

import argparse
import json
import re
from pathlib import Path

import pytest
import yaml

from detectors import commands, rules
from detectors.rules.engine import Pattern
from detectors.rules.examples import filled, problems_of
from detectors.rules.loading import read_all
from detectors.rules.rule import Example
from detectors.rules.schema import KEYS
from detectors.rules.secret_formats import FORMATS

DOCS = Path(__file__).parents[3] / "docs" / "rules.md"


def run(*words: str) -> int:
    parser = argparse.ArgumentParser("watchgate")
    commands.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["detectors", "check-rules", *words])
    return int(args.run(args))


def test_each_shipped_rule_matches_as_its_tests_say() -> None:
    assert list(problems_of(read_all([rules.SHIPPED]))) == []


def test_each_shipped_signature_comes_from_a_source_that_is_named() -> None:
    for rule in read_all([rules.SHIPPED]):
        if rule.fuzzy:
            sources = {it.source for it in rule.fuzzy.signatures.signatures}
            assert sources == set(rule.fuzzy.signatures.licences)


def test_no_shipped_file_holds_what_looks_like_a_secret() -> None:
    files = [*rules.SHIPPED.iterdir(), *Path(rules.__file__).parent.glob("*.py"), DOCS]
    for path in files:
        for name, it in FORMATS.items():
            found = Pattern(it.pattern).groups(path.read_bytes())
            assert not [1 for _, secret in found if it.check(secret)], f"{path}: {name}"


def test_blanks_are_filled_in_and_others_left() -> None:
    assert filled("{{hex:{{base64:a}}}}") == "59513d3d"
    assert filled("{{tea:a}} {{secret:tea}} {{ hex:a }}") == "{{tea:a}} {{secret:tea}} {{ hex:a }}"


def test_an_example_that_its_rule_gets_wrong_is_told_by_number() -> None:
    [rule, *_] = read_all([rules.SHIPPED])
    object.__setattr__(rule.tests, "no_match", (rule.tests.match[0],))
    object.__setattr__(rule.tests, "match", (Example("nothing of interest"),))

    assert list(problems_of([rule])) == [
        f'rule "{rule.id}" as answer: does not match text 1 of tests.match',
        f'rule "{rule.id}" as answer: matches text 1 of tests.no_match',
    ]


# The command


def test_check_rules_says_how_many_rules_do_as_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(rules.SHIPPED)) == 0

    count = len(read_all([rules.SHIPPED]))
    assert capsys.readouterr().out == f"{count} rules, each as its tests say\n"


def test_check_rules_tells_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"id": "tea", "category": "other", "parts": ["prompt"], "description": "Tea."} | {
        "probability": 0.5,
        "pattern": "tea",
    }
    tests = {"match": ["coffee"], "no_match": ["tea"]}
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump({"rules": [entry | {"tests": tests}, entry]}))

    assert run("--json", str(path)) == 1

    printed = json.loads(capsys.readouterr().out)
    assert printed["rules"] == 1
    assert printed["problems"] == [
        f'{path}, rule "tea": the key tests is missing; every rule has one',
        f'{path}, rule "tea" as prompt: does not match text 1 of tests.match',
        f'{path}, rule "tea" as prompt: matches text 1 of tests.no_match',
    ]


def test_check_rules_of_a_file_that_is_not_there_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tmp_path / "none.yaml")) == 2

    assert "cannot be read" in capsys.readouterr().err


# The documents


def table(heading: str) -> list[str]:
    """Return the first column of the first table under a heading."""
    section = DOCS.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([a-z0-9_.]+)` \|", section, re.MULTILINE)


def test_the_documented_keys_are_the_codes() -> None:
    assert table("Keys of a rule") == list(KEYS)


def test_the_documented_formats_are_the_codes() -> None:
    assert table("Secrets") == list(FORMATS)


def test_the_documented_rules_can_be_used(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        assert list(problems_of(read_all([path]))) == []
