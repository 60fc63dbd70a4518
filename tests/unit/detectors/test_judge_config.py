"""What an operator may say about a judge, and what its version depends on."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from detectors.api import Category, Part
from detectors.judge import BadConfig, Judge, JudgeConfig
from detectors.judge.detector import family_of, version_of

QWEN = JudgeConfig(name="judge", url="http://guard:8000", model="guard", family="qwen3guard")
OSS = dataclasses.replace(QWEN, family="gpt-oss-safeguard")
CLASSIFY = dataclasses.replace(
    QWEN,
    family="classify",
    labels=("benign", "attack"),
    categories={"attack": Category.JAILBREAK},
)


def version(config: JudgeConfig, **changed: Any) -> str:  # noqa: ANN401
    new = dataclasses.replace(config, **changed)
    return version_of(new, family_of(new))


@pytest.mark.parametrize(
    "url",
    ["http://guard", "https://guard.internal:8000/v1", "http://[::1]:8000", "http://10.0.0.1:1/a/"],
)
def test_addresses_are_taken(url: str) -> None:
    dataclasses.replace(QWEN, url=url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "guard:8000",
        "ftp://guard",
        "http://",
        "http://u:p@guard",
        "http://guard?x",
        "http://g/#a",
    ],
)
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match="url: expected an address such as"):
        dataclasses.replace(QWEN, url=url)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": ""}, "name and model"),
        ({"api_key": "a\r\nb: c"}, "api_key"),
        ({"parts": frozenset()}, "parts"),
        ({"label_probabilities": {"Unsafe": 1.5}}, "label_probabilities"),
        ({"reasoning_effort": "max"}, "one of low, medium, high"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_chars": 3}, "max_chars"),
        ({"overlap_chars": 2_001}, "a quarter of max_chars"),
        ({"max_windows": 0}, "max_windows"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"retries": -1}, "retries"),
        ({"prompt_price_per_million": -1}, "prices"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_would_be_right(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadConfig, match=said):
        dataclasses.replace(QWEN, **changed)


@pytest.mark.parametrize(
    ("config", "changed", "said"),
    [
        (QWEN, {"family": "nope"}, "one of classify, gpt-oss-safeguard, qwen3guard"),
        (QWEN, {"label_probabilities": {"unsafe": 1}}, "none of Safe, Controversial, Unsafe"),
        (OSS, {"label_probabilities": {"2": 1}}, "none of 0, 1"),
        (CLASSIFY, {"parts": frozenset({Part.EXCHANGE})}, "can judge answer, prompt"),
        (CLASSIFY, {"labels": ()}, "list the model's labels"),
        (CLASSIFY, {"labels": ("a", "a")}, "list the model's labels"),
        (CLASSIFY, {"categories": {}}, "map at least one"),
        (CLASSIFY, {"categories": {"typo": Category.ANY}}, "map at least one"),
        (CLASSIFY, {"labels": ("attack",)}, "leave out the benign label"),
    ],
)
def test_settings_that_do_not_fit_the_family_are_refused(
    config: JudgeConfig, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadConfig, match=said):
        Judge(dataclasses.replace(config, **changed))


def test_authorities_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("none.pem", "empty.pem"):
        config = dataclasses.replace(QWEN, url="https://guard", ca_file=str(tmp_path / name))
        with pytest.raises(BadConfig, match="ca_file"):
            Judge(config)


@pytest.mark.parametrize("url", ["http://guard:99999", "http://bücher.example"])
def test_addresses_that_http_cannot_name_are_refused(url: str) -> None:
    with pytest.raises(BadConfig, match="url: expected ASCII"):
        Judge(dataclasses.replace(QWEN, url=url))


def test_the_key_is_not_shown() -> None:
    assert "secret-key" not in repr(dataclasses.replace(QWEN, api_key="secret-key"))


@pytest.mark.parametrize(
    ("config", "changed"),
    [
        (OSS, {"policy": "Other policy."}),
        (OSS, {"reasoning_effort": "high"}),
        (OSS, {"max_tokens": 99}),
        (OSS, {"categories": {"spam": Category.FRAUD}}),
        (OSS, {"label_probabilities": {"1": 0.9}}),
        (QWEN, {"model": "guard-2"}),
        (QWEN, {"family": "gpt-oss-safeguard"}),
        (QWEN, {"use_logprobs": False}),
        (QWEN, {"max_chars": 9_000}),
        (QWEN, {"overlap_chars": 1}),
        (CLASSIFY, {"labels": ("attack", "benign")}),
        (CLASSIFY, {"is_multi_label": True}),
    ],
)
def test_the_version_changes_with_whatever_could_change_a_score(
    config: JudgeConfig, changed: dict[str, Any]
) -> None:
    assert version(config) != version(config, **changed)


@pytest.mark.parametrize("config", [QWEN, OSS, CLASSIFY])
def test_the_version_does_not_change_with_how_the_guard_is_reached(config: JudgeConfig) -> None:
    same = version(
        config, name="other", url="https://elsewhere", api_key="k", timeout_s=9, retries=0,
        max_concurrency=1, prompt_price_per_million=3, pause_s=1,
    )  # fmt: skip
    assert version(config) == same


def test_a_template_or_parser_that_changed_changes_the_version() -> None:
    family = family_of(OSS)
    before = version_of(OSS, family)
    family._system += " "  # type: ignore[attr-defined]
    between = version_of(OSS, family)
    family.parser += 1  # type: ignore[misc]
    assert len({before, between, version_of(OSS, family)}) == 3


def test_parts_can_be_fewer_than_the_family_can_judge() -> None:
    judge = Judge(dataclasses.replace(QWEN, parts=frozenset({Part.EXCHANGE})))
    assert judge.parts == {Part.EXCHANGE}
    assert Judge(QWEN).parts == set(Part)
    assert Judge(CLASSIFY).parts == {Part.PROMPT, Part.ANSWER}
