"""Probes on vectors: what they learn, and that they are judged on families they have not seen."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from detectors.api import Category, Part
from detectors.data import Row
from detectors.semantic import probes, training
from detectors.semantic.detector import Semantic
from detectors.semantic.gguf import Floats
from detectors.semantic.training import Fitted, Plan, Task, Texts
from detectors.validation import Labelled, mean_over_sources

RNG_SEED = 3
PLAN = Plan(category_rows=20, category_families=2)


class Scripted:
    """Reads "harm" and "hack" off a text, and adds what tells the sources apart, and noise."""

    def message(self, text: str, most: int) -> Sequence[Floats]:
        rng = np.random.default_rng(len(text) + sum(map(ord, text)))
        vector = rng.standard_normal(8)
        vector[0] += 3 * ("harm" in text)
        vector[4] += 3 * ("hack" in text)
        vector[1] += 2 * (hash_of(text.split(maxsplit=1)[0]) % 3)
        return [vector.astype(np.float32)] * min(most, 1)

    def answer(self, prompt: str, text: str, most: int) -> Sequence[Floats]:
        return self.message(f"{text} {prompt}", most)


def hash_of(word: str) -> int:
    return sum(map(ord, word))


def rows(count: int = 40) -> list[Row]:
    return [
        row
        for source in ("alpha", "beta", "gamma", "delta")
        for number in range(count)
        for row in pair(source, number)
    ]


def pair(source: str, number: int) -> tuple[Row, Row]:
    """Return a prompt, and an answer: half of them harmful, half of these on hacking."""
    label, hacks = number % 2, number % 4 == 1
    words = f"{source} {'harm ' * label}{'hack ' * hacks}{number}"
    categories = ("cyber",) if hacks else ("fraud",) if label else ()
    prompt = Row(f"{source}-{number}", words, label, source, "MIT", None, categories)
    response = f"{source} {'harm' * label} {number}"
    return prompt, msgspec.structs.replace(prompt, id=f"{prompt.id}-answered", response=response)


def test_each_part_has_a_head_that_tells_the_labels_apart() -> None:
    trained = training.train(rows(), Scripted(), PLAN, lambda _words: None)
    detector = Semantic(Scripted(), {part: it.head for part, it in trained.items()}, "1")

    assert detector.parts == set(Part)
    for part in Part:
        chosen = [it for it in rows() if (it.response is None) is (part is Part.PROMPT)]
        scored = detector.score([it.sample_of(part) for it in chosen])
        right = [
            (s[Category.ANY] > 0.5) == (row.label == 1)
            for s, row in zip(scored, chosen, strict=True)
        ]
        assert np.mean(right) > 0.85


def test_categories_that_rank_have_heads_of_their_own_and_others_are_told() -> None:
    [prompt] = [
        it
        for part, it in training.train(rows(), Scripted(), PLAN, lambda _words: None).items()
        if part is Part.PROMPT
    ]

    assert Category.CYBER in prompt.head.categories
    assert set(prompt.quality) == {"any", *prompt.head.categories}


def test_biology_never_has_a_head() -> None:
    bio = [msgspec.structs.replace(it, categories=("bio",) * it.label) for it in rows()]
    prompt = training.train(bio, Scripted(), PLAN, lambda _words: None)[Part.PROMPT]

    assert Category.BIO not in prompt.head.categories


def test_the_same_rows_give_the_same_numbers() -> None:
    one, other = (training.train(rows(), Scripted(), PLAN, lambda _w: None) for _ in range(2))

    for part in Part:
        assert one[part].head.kinds.weights.tobytes() == other[part].head.kinds.weights.tobytes()
        assert one[part].head.any_curve == other[part].head.any_curve


def test_kinds_have_probes_of_their_own_where_a_family_can_be_left_out() -> None:
    def as_jailbreaks(*sources: str) -> list[Row]:
        return [
            msgspec.structs.replace(it, categories=("jailbreak",) if it.label else ())
            if it.source in sources
            else it
            for it in rows()
        ]

    for sources, kinds in ((("alpha",), 1), (("alpha", "beta"), 2)):
        trained = training.train(as_jailbreaks(*sources), Scripted(), PLAN, lambda _w: None)
        assert len(trained[Part.PROMPT].head.kinds.offsets) == kinds
        assert len(trained[Part.ANSWER].head.kinds.offsets) == 1


def test_odds_of_kinds_are_added_up_in_each_window_before_the_highest_counts() -> None:
    """Else a text with a little of each kind, far apart, would be above one with both at once."""
    label, source = np.tile([0, 1], 20), np.repeat(["a", "b"], 20)
    of_label = np.array([[2.2, -9], [-9, 2.2]]), np.array([[2.0, 2.0]])
    windows = [of_label[it] for it in label]
    odds = np.concatenate(windows).T
    texts = Texts(odds.T, np.repeat(np.arange(40), [len(it) for it in windows]))
    kinds = [Fitted(np.ones(2), 0.0, it) for it in odds]

    of_any = training.combined(kinds, texts, Labelled(label, source), mean_over_sources)

    assert of_any.quality[0.5].auroc == 1


def test_a_half_that_ranks_unseen_families_the_wrong_way_round_hardly_counts() -> None:
    label, source = np.tile([0, 1], 80), np.repeat(["a", "b", "c", "d"], 40)
    signs = np.where(np.isin(source, ["a", "b"]), 1, -1) * (2 * label - 1)
    rng = np.random.default_rng(RNG_SEED)
    vectors = np.stack([signs, np.zeros(160), 2 * label, np.zeros(160)], axis=1)
    texts = Texts(vectors + rng.standard_normal((160, 4)), np.arange(160))
    task = Task(Labelled(label, source), np.ones(160, np.bool_))

    fitted = training.fit(texts, task, PLAN, mean_over_sources)

    assert abs(fitted.weights[0]) < abs(fitted.weights[2]) / 10
    assert fitted.quality[0.0].auroc > 0.85


def test_a_probe_turns_from_what_tells_sources_apart() -> None:
    rng = np.random.default_rng(RNG_SEED)
    label, source = np.tile([0, 1], 200), np.repeat(["a", "b", "c", "d"], 100)
    vectors = rng.standard_normal((400, 3))
    vectors[:, 0] += label
    vectors[:, 1] += label + 6 * rng.standard_normal(4)[np.repeat(range(4), 100)]
    probe = probes.fit_all(probes.moments(vectors, Labelled(label, source)), 0.1)

    assert abs(probe.weights[0]) > 3 * abs(probe.weights[1])


def test_left_out_margins_are_of_probes_that_saw_nothing_of_the_family() -> None:
    rng = np.random.default_rng(RNG_SEED)
    label, source = np.tile([0, 1], 100), np.repeat(["a", "b"], 100)
    vectors = rng.standard_normal((200, 2))
    rows_ = Labelled(label, source)
    found = probes.moments(vectors, rows_)
    margins = probes.left_out_margins(vectors, rows_, found, 1.0)
    alone = probes.fit_all(probes.moments(vectors[:100], Labelled(label[:100], source[:100])), 1.0)

    assert margins[100:] == pytest.approx(alone.margins(vectors[100:]))
