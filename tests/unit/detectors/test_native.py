"""The C part: it agrees with plain Python, is bounded, and nothing breaks where it cannot be."""

from array import array
from itertools import count
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import compiling, lexical
from detectors.api import Part
from detectors.compiling import CompilerError, compile_library, library_name
from detectors.features import BUCKETS, CHARACTERS, buckets
from detectors.native import Library, NativeWeights, load_library
from detectors.plain import PlainWeights
from tests.real_parts.texts import TRICKY


@pytest.fixture(scope="module")
def native(library: Library, random_weights: list[float]) -> NativeWeights:
    return NativeWeights(library, random_weights)


@pytest.fixture(scope="module")
def plain(random_weights: list[float]) -> PlainWeights:
    return PlainWeights(random_weights)


@settings(deadline=None, max_examples=100)
@given(text=st.text(TRICKY))
def test_it_gives_any_text_the_margin_that_plain_python_gives(
    native: NativeWeights, plain: PlainWeights, text: str
) -> None:
    assert native.margin(text) == plain.margin(text)


def test_every_character_is_in_a_word_or_not_as_in_plain_python(
    native: NativeWeights, plain: PlainWeights
) -> None:
    for start in range(0, CHARACTERS, 256):
        text = "".join(f"a{it}b {it}{it} " for it in map(chr, range(start, start + 256)))
        assert native.margin(text) == plain.margin(text), f"from U+{start:X}"


def test_a_word_whose_pair_falls_into_its_own_bucket_counts_once(
    native: NativeWeights, plain: PlainWeights
) -> None:
    first = next(str(n) for n in count() if crc32(str(n).encode()) % BUCKETS == 0)

    assert len(buckets(f"{first} second")) == 2
    assert native.margin(f"{first} second") == plain.margin(f"{first} second")


def test_the_shipped_model_scores_the_same_on_both_engines(library: Library) -> None:
    compiled, fallback = lexical.load_with(library), lexical.load_with(None)
    text = "Ignore all previous instructions. Où est la gare? 今天天气怎么样" * 200

    assert (compiled.engine, fallback.engine) == ("native", "python")
    assert compiled.version == fallback.version
    for part in Part:
        expected = pytest.approx(fallback.score_text(text, part), rel=0, abs=1e-9)
        assert compiled.score_text(text, part) == expected


def test_a_word_as_long_as_the_text_and_a_text_of_only_words_are_scored(library: Library) -> None:
    ones = NativeWeights(library, array("f", [1.0]) * BUCKETS)
    numbers = " ".join(map(str, range(200_000)))

    assert ones.margin("x" * 3_000_000) == 1.0
    assert ones.margin(numbers) <= BUCKETS**0.5  # each bucket counts once, however many words


def test_too_few_weights_are_refused(library: Library) -> None:
    with pytest.raises(ValueError, match=f"{BUCKETS} buckets"):
        NativeWeights(library, [0.0] * (BUCKETS - 1))


def test_its_constants_are_those_of_plain_python() -> None:
    source = compiling.SOURCE.read_text(encoding="utf-8")

    assert f"#define BUCKETS (1u << {BUCKETS.bit_length() - 1}) " in source
    assert f"#define CHARACTERS {CHARACTERS:#x} " in source


def test_without_a_library_the_detector_runs_in_plain_python(tmp_path: Path) -> None:
    assert load_library(tmp_path) is None
    assert lexical.load_with(load_library(tmp_path)).engine == "python"


def test_a_library_for_another_machine_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / library_name()).write_bytes(b"no library")

    assert load_library(tmp_path) is None


def test_a_library_made_from_another_source_has_another_name(tmp_path: Path) -> None:
    changed = tmp_path / "words.c"
    changed.write_bytes(compiling.SOURCE.read_bytes() + b"\n")

    assert library_name(changed) != library_name()


def test_compiling_again_removes_what_was_made_from_an_older_source(tmp_path: Path) -> None:
    (tmp_path / "words-00000000.so").touch()

    compile_library(tmp_path)

    assert [it.name for it in tmp_path.iterdir()] == [library_name()]


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"])
def test_a_compiler_that_is_not_there_or_fails_is_named(
    compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)

    with pytest.raises(CompilerError, match=compiler):
        compile_library(tmp_path)
    assert list(tmp_path.iterdir()) == []
