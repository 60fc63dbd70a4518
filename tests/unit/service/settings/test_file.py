"""Keys that come twice in a file of settings."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from service.errors import ConfigError
from service.settings.file import read_file

Read = Callable[[str], list[str]]

TWICE = {
    "at the top": ("gateway: {}\nlog_level: INFO\ngateway: {}\n", "gateway: comes again in line 3"),
    "in a section": ("gateway:\n  port: 1\n  port: 2\n", "gateway.port: comes again in line 3"),
    "on one line": ("gateway: {port: 1, port: 1}\n", "gateway.port: comes again in line 1"),
    "in a list": (
        "models:\n  - name: a\n  - name: b\n    tier: 1\n    name: c\n",
        "models[1].name: comes again in line 5",
    ),
    "far down": (
        "models: [{screening: {answer: {mode: window,\n mode: observe}}}]\n",
        "models[0].screening.answer.mode: comes again in line 2",
    ),
    "under a tier": (
        "screening: {tiers: {1: {}, 0: {},\n 1: {}}}\n",
        "screening.tiers.1: comes again",
    ),
    "written in two ways": (
        "screening: {tiers: {1: {},\n '1': {}}}\n",
        "screening.tiers.1: comes again",
    ),
    "quoted": ("log_level: INFO\n'log_level': DEBUG\n", "log_level: comes again in line 2"),
    "three times": ("a: 1\na: 2\na: 3\n", "a: comes again in lines 2 and 3: keep one"),
    "what YAML merges": ("a: {<<: {b: 1}, <<: {c: 1}}\n", "a.<<: comes again in line 1"),
    "within what comes twice": ("a: {b: 1}\na: {b: 1, b: 2}\n", "a.b: comes again in line 2"),
}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def twice(text: str) -> list[str]:
        path = tmp_path / "watchgate.yaml"
        path.write_text(text)
        return [str(mistake) for mistake in read_file(path).twice]

    return twice


@pytest.mark.parametrize("where", TWICE)
def test_a_key_that_comes_twice_is_told_with_its_path_and_the_further_lines(
    where: str, read: Read
) -> None:
    text, said = TWICE[where]
    assert any(line.startswith(said) for line in read(text))


ONCE = {
    "of two sections": "a: {b: 1}\nc: {b: 1}\n",
    "of two items": "a: [{b: 1}, {b: 1}]\n",
    "that is merged and then overridden": "x: &x {b: 1}\na: {<<: *x, b: 2}\n",
    "of an alias": "x: &x {b: 1}\na: *x\nc: *x\n",
    "that differs in case": "A: 1\na: 1\n",
}


@pytest.mark.parametrize("which", ONCE)
def test_a_key_that_comes_once_in_each_mapping_is_fine(which: str, read: Read) -> None:
    assert read(ONCE[which]) == []


def test_values_are_those_of_pyyaml(tmp_path: Path) -> None:
    text = "x: &x {b: 1, d: 2001-01-01}\na: {<<: *x, b: 2}\nc: [*x, ~, on, 0x1F, 1.5, 'q']\n"
    path = tmp_path / "watchgate.yaml"
    path.write_text(text)
    assert read_file(path).values == yaml.safe_load(text)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.getcwd []", "!!python/name:os.getcwd"])
def test_loading_stays_safe(tag: str, tmp_path: Path) -> None:
    path = tmp_path / "watchgate.yaml"
    path.write_text(f"a: {tag}\n")
    with pytest.raises(ConfigError, match="not YAML"):
        read_file(path)


def test_what_holds_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "watchgate.yaml"
    path.write_text("a: &a {b: [*a]}\n")
    with pytest.raises(ConfigError, match="not YAML: line 1, column 4: an alias of what it stan"):
        read_file(path)
