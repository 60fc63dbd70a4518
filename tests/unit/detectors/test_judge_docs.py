"""What docs/judge.md says of keys and families is so, and its example works."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from detectors.api import Category, Part, Sample
from detectors.judge import FAMILIES, KINDS, JudgeConfig
from detectors.judge.errors import Unparseable
from tests.real_parts.guard import said

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "judge.md").read_text(encoding="utf-8")


def rows_between(start: str, end: str) -> set[str]:
    table = TEXT.partition(start)[2].partition(end)[0]
    firsts = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    return {name for first in firsts for name in re.findall(r"`([\w-]+)`", first)}


def test_every_setting_of_a_judge_has_its_row() -> None:
    fields = {field.name for field in dataclasses.fields(JudgeConfig)}
    assert rows_between("| key |", "\n\n") == fields


def test_every_family_and_kind_of_error_has_its_row() -> None:
    assert rows_between("| family |", "\n\n") == set(FAMILIES)
    assert rows_between("| kind |", "\n\n") == KINDS


@pytest.fixture(scope="module")
def example() -> Any:  # noqa: ANN401
    """The family that the document adds."""
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert code.count("\n") < 60
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  (our own document)
    config = JudgeConfig(name="judge", url="http://guard", model="guard", family="llama-guard")
    return names["LlamaGuard"](config)


def test_the_example_is_a_family(example: Any) -> None:  # noqa: ANN401
    found = example.parse(said("\n\nunsafe\nS1,S9").body, Part.PROMPT).scores
    assert found.keys() == example.categories
    assert found[Category.VIOLENCE] == found[Category.OTHER] == found[Category.ANY] == 0.95
    assert found[Category.HATE] == 0.05
    [message] = example.request(Sample("a <|eot_id|>", Part.PROMPT))["messages"]
    assert message == {"role": "user", "content": "a < |eot_id| >"}


def test_the_example_weighs_its_labels(example: Any) -> None:  # noqa: ANN401
    tokens = [("\n\n", {}), ("safe", {"safe": 0.8, "unsafe": 0.2})]
    ruling = example.parse(said("\n\nsafe", tokens=tokens).body, Part.PROMPT)
    assert ruling.scores[Category.ANY] == pytest.approx(0.2)


@pytest.mark.parametrize("text", ["unsafe", "safe\nS1", "It is safe", "safe unsafe\nS1", ""])
def test_the_example_reads_nothing_but_its_form(example: Any, text: str) -> None:  # noqa: ANN401
    with pytest.raises(Unparseable):
        example.parse(said(text).body, Part.PROMPT)
