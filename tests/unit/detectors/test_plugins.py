import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from detectors import plugins
from detectors.api import Category, Part, Sample
from detectors.errors import DetectorError

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
GOOD = {"name": "x", "version": "1", "parts": frozenset({Part.PROMPT})}


@pytest.fixture(autouse=True)
def _examples_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def made(monkeypatch: pytest.MonkeyPatch, **more: object) -> str:
    """Offer a factory that makes something with these attributes."""
    one = SimpleNamespace(**GOOD | {"score": lambda samples: [{Category.ANY: 0.5}] * len(samples)})
    one.__dict__.update(more)
    module = ModuleType("some_plugin")
    module.__dict__["make"] = lambda **_options: one
    monkeypatch.setitem(sys.modules, "some_plugin", module)
    return "some_plugin:make"


def test_the_example_of_the_docs_works_and_is_short() -> None:
    detector = plugins.load("length_detector:make", "length", {"doubtful_ratio": 10.0})
    assert (detector.name, detector.version) == ("length", "1-10")
    samples = [Sample("x" * n, Part.EXCHANGE, "a question") for n in (0, 109, 10_000_000)]
    scores = [it[Category.OTHER] for it in detector.score(samples)]
    assert scores == sorted(scores)
    assert scores[1] == pytest.approx(0.5)
    assert [detector.score([it])[0][Category.OTHER] for it in samples] == scores
    assert len((EXAMPLES / "length_detector.py").read_text().splitlines()) < 60


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("no_such_module:make", "ModuleNotFoundError"),
        ("length_detector:nothing", "AttributeError"),
        ("json:loads", "TypeError"),
        ("builtins:dict", "it has no name, version, parts, score"),
    ],
)
def test_a_factory_that_makes_no_detector_is_told(factory: str, words: str) -> None:
    with pytest.raises(DetectorError, match=words):
        plugins.load(factory, "x", {})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "y"}, "named 'y', and not 'x'"),
        ({"parts": frozenset()}, "not empty"),
        ({"parts": frozenset({"weather"})}, "a set of detectors.api.Part"),
        ({"score": lambda _: []}, "does not score prompt: ValueError"),
        ({"score": lambda _: [{Category.ANY: 2.0}] * 2}, "from 0 to 1"),
        ({"score": lambda _: [{"weather": 0.5}] * 2}, "by detectors.api.Category"),
        ({"score": lambda _: [{}] * 2}, "at least one"),
        ({"score": lambda _: 1 / 0}, "ZeroDivisionError"),
    ],
)
def test_what_is_almost_a_detector_is_told(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, object], words: str
) -> None:
    with pytest.raises(DetectorError, match=words):
        plugins.load(made(monkeypatch, **more), "x", {})


def test_a_detector_that_keeps_its_word_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugins.load(made(monkeypatch), "x", {}).version == "1"
