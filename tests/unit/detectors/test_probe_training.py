"""Probes trained on states: where they read, what they say, and what they belong to."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors.api import Category, Part, Reading, ReadingDetector, Sample
from detectors.errors import ArtefactError, DataError
from detectors.estimates import MEAN
from detectors.lexical import load as lexical
from detectors.log_odds import straight
from detectors.probe import CARD, load
from detectors.probe.binding import bind
from detectors.probe.detector import Probe, save
from detectors.probe.pipeline import evaluate_on, train_and_describe, write
from detectors.probe.places import Place
from detectors.probe.states import Plan as Reads
from detectors.probe.states import States, manifest_of
from detectors.probe.training import Trained, train
from detectors.reloading import Reloadable, check_successor
from detectors.semantic.detector import Linear
from detectors.semantic.training import Plan
from tests.unit.detectors.probe_states import HIDDEN, LAYERS, TELLING, model, rows, states_of
from tests.unit.detectors.probe_states import write as write_states
from vllm_probe import probes

SMALL = Plan(category_rows=20, category_families=2)
SAID: list[str] = []
NONE = Linear(np.zeros((0, 1), np.float32), np.zeros(0, np.float32))


@pytest.fixture(scope="module")
def states() -> States:
    return states_of([*rows(300), *rows(120, answers=True)])


@pytest.fixture(scope="module")
def trained(states: States) -> Trained:
    return train(states, SMALL, SAID.append)


@pytest.fixture
def folder(tmp_path: Path, trained: Trained, states: States) -> Path:
    write(tmp_path / "probes", trained, states)
    return tmp_path / "probes"


def reading(found: Probe, *log_odds: float, tokens: int = 10, read: int = 10) -> Reading:
    return Reading(found.probes, tokens, read, log_odds or (0.0,) * found.count)


def log_odds_of(folder: Path, states: States, number: int) -> tuple[float, ...]:
    """Return what the plugin would tell of a row."""
    found = probes.load(folder)
    return tuple(
        float(states.of(it.layer, it.pooling)[number] @ found.weights[i] + found.offsets[i])
        for i, it in enumerate(found.probes)
    )


def test_the_place_is_chosen_that_tells(trained: Trained) -> None:
    for part in (Part.PROMPT, Part.EXCHANGE):
        assert Place(*TELLING) in trained.choices[part].places
        assert trained.choices[part].quality["any"].auroc > 0.9
        best = next(iter(trained.choices[part].tried.values()))
        assert best.auroc == max(it.auroc for it in trained.choices[part].tried.values())
        assert any(it.startswith(f"{part}: ") and it.endswith(f", {best}") for it in SAID)


def test_misuse_ranks_above_what_is_benign(folder: Path, states: States) -> None:
    found = load(folder)
    for part, start in ((Part.PROMPT, 0), (Part.ANSWER, 300), (Part.EXCHANGE, 300)):
        scores: dict[int, list[float]] = {0: [], 1: []}
        for number in range(start, start + 120):
            given = Reading(found.probes, 5, 5, log_odds_of(folder, states, number))
            scored = found.score_reading(given, part)
            scores[states.rows[number].label].append(scored[Category.ANY])
        assert np.median(scores[1]) > 0.7
        assert np.median(scores[0]) < 0.3


def test_training_gives_the_same_files_again(folder: Path, tmp_path: Path, states: States) -> None:
    write(tmp_path / "again", train(states, SMALL, SAID.append), states)
    for name in ("probes.npz", "manifest.json", "heads/model.skops", "heads/manifest.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_reading_of_others_or_of_too_little_is_not_understood(folder: Path) -> None:
    found = load(folder, least_read=0.5)
    assert isinstance(found, ReadingDetector)
    assert isinstance(found, Probe)
    right = reading(found)
    assert found.understands(right)
    assert found.understands(reading(found, read=5))
    wrong = [
        None,
        reading(found, read=4),
        reading(found, tokens=0, read=0),
        reading(found, 1.0),
        Reading("other", 10, 10, right.log_odds),
    ]
    for one in wrong:
        assert not found.understands(one)
        assert found.score([Sample("text", Part.PROMPT, reading=one)]) == [{}]


def test_a_text_alone_has_no_score(folder: Path) -> None:
    found = load(folder)
    assert found.score([Sample("text", part, "prompt") for part in Part]) == [{}, {}, {}]


def test_scores_are_probabilities_whatever_was_told(folder: Path) -> None:
    found = load(folder)
    assert isinstance(found, Probe)
    for extreme in (1e30, -1e30, 0.0):
        given = reading(found, *(extreme,) * found.count)
        for part in found.parts:
            scores = found.score_reading(given, part)
            assert set(scores) <= found.categories
            assert all(0 <= it <= 1 for it in scores.values())


def test_heads_of_other_probes_are_refused(folder: Path, tmp_path: Path, states: States) -> None:
    other = train(states_of([*rows(300)], strength=2.0), SMALL, SAID.append)
    write(tmp_path / "other", other, states)
    for name in ("probes.npz", "manifest.json"):
        (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(ArtefactError, match="copy the whole folder"):
        load(folder)


def test_a_damaged_folder_is_refused(folder: Path) -> None:
    (folder / "probes.npz").write_bytes(b"torn")
    with pytest.raises(ArtefactError, match="do not fit"):
        load(folder)
    with pytest.raises(ArtefactError):
        load(folder / "nowhere")


def test_rows_of_one_label_teach_nothing() -> None:
    one = [it for it in rows(60) if it.label == 0]
    with pytest.raises(DataError, match="rows of both labels"):
        train(states_of(one), SMALL, SAID.append)


def test_without_answers_there_is_no_head_for_them(tmp_path: Path) -> None:
    some = rows(300)
    states = states_of(some)
    write(tmp_path, train(states, SMALL, SAID.append), states)
    assert load(tmp_path).parts == {Part.PROMPT}


def test_probes_are_bound_anew_with_their_heads(folder: Path, tmp_path: Path) -> None:
    before = load(folder)
    other = model(tmp_path / "model", weights=b"other weights")
    (folder / CARD).write_text("# Probes\n")
    digests = bind(folder, other)
    after = load(folder)
    assert f"`{before.probes}` are `{after.probes}` since" in (folder / CARD).read_text()
    assert digests == (before.probes, after.probes)
    assert before.probes != after.probes
    card = (folder / CARD).read_text()
    assert bind(folder, other) == (after.probes, after.probes)
    assert (folder / CARD).read_text() == card
    found = probes.load(folder)
    assert found.binding.weights == manifest_of(rows(2), Reads(other, LAYERS)).weights_sha256


def test_probes_are_not_bound_to_a_model_of_another_shape(folder: Path, tmp_path: Path) -> None:
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(DataError, match="has 9 layers of 6 numbers"):
        bind(folder, model(tmp_path / "model", layers=9))
    assert (folder / "manifest.json").read_bytes() == before


def test_a_report_has_them_alone_and_together_with_others(tmp_path: Path) -> None:
    some, said = rows(400), list[str]()
    taught, checked = some[:300], some[300:]
    of_model = Reads(model(tmp_path / "model"), LAYERS)
    for name, these in (("taught", taught), ("checked", checked)):
        write_states(tmp_path / name, these, manifest_of(these, of_model), states_of(these))
    check = tmp_path / "checked", checked, ["lexical"]
    digest = train_and_describe(tmp_path / "taught", tmp_path / "probes", check, said.append)
    assert probes.load(tmp_path / "probes").digest == digest
    card = (tmp_path / "probes" / "card.md").read_text()
    for words in (digest, "ema of layer 5", "| s0 | 50 | 0 | MIT |", "probe+lexical"):
        assert words in card
    evaluated = evaluate_on(
        tmp_path / "probes", tmp_path / "checked", [*checked, *rows(2)], ["lexical"], said.append
    )
    assert [it.name for it in evaluated] == ["lexical", "probe", "probe+lexical"]
    assert "100 of 102 rows have states" in said
    figures = {it.name: it.reports[Part.PROMPT] for it in evaluated}
    assert figures["probe"].figures["misuse", MEAN, "auroc"].value > 0.9


def test_a_new_version_takes_the_place_of_the_one_in_use_if_it_scores_as_much(
    folder: Path, tmp_path: Path
) -> None:
    held = Reloadable("probe", [folder / "heads" / "manifest.json"], lambda: load(folder))
    before = held.detector
    assert isinstance(before, Probe)
    prompts = before.heads[Part.PROMPT]
    surer = replace(prompts, any_curve=straight(3.0, 0.0))
    save(folder, before.probes, {**before.heads, Part.PROMPT: surer})
    assert held.look() is None  # it may still be written
    after = held.look()
    assert isinstance(after, Probe)
    assert after.version != before.version
    less = {**after.heads, Part.PROMPT: replace(prompts, categories=(), of_categories=NONE)}
    with pytest.raises(ArtefactError, match=r"gives no score for .*jailbreak"):
        check_successor(replace(after, heads=less), after)
    stronger = states_of([*rows(300), *rows(120, answers=True)], strength=4.0)
    write(tmp_path / "others", train(stronger, SMALL, SAID.append), stronger)
    with pytest.raises(ArtefactError, match="judges other probes"):
        check_successor(load(tmp_path / "others"), after)
    alone = states_of(rows(300))
    write(tmp_path / "alone", train(alone, SMALL, SAID.append), alone)
    with pytest.raises(ArtefactError, match="does not score answer, exchange"):
        check_successor(load(tmp_path / "alone"), after)


def test_what_was_learnt_from_is_not_reported_on(tmp_path: Path) -> None:
    some = rows(120)
    of_model = Reads(model(tmp_path / "model"), LAYERS)
    write_states(tmp_path / "states", some, manifest_of(some, of_model), states_of(some))
    check = tmp_path / "states", some, ["lexical"]
    with pytest.raises(DataError, match="120 rows to be reported on are among those"):
        train_and_describe(tmp_path / "states", tmp_path / "probes", check, SAID.append)


def test_states_of_none_of_the_rows_are_no_report(folder: Path, tmp_path: Path) -> None:
    some = rows(40)
    bound = Reads(model(tmp_path / "model"), LAYERS)
    write_states(tmp_path / "states", some, manifest_of(some, bound), states_of(some))
    bind(folder, bound.model)
    with pytest.raises(DataError, match="of none of these rows"):
        evaluate_on(folder, tmp_path / "states", rows(50)[45:], ["lexical"], SAID.append)


def test_states_of_other_weights_are_no_report(folder: Path, tmp_path: Path) -> None:
    some = rows(40)
    other = Reads(model(tmp_path / "model"), LAYERS)
    write_states(tmp_path / "states", some, manifest_of(some, other), states_of(some))
    with pytest.raises(DataError, match="other weights"):
        evaluate_on(folder, tmp_path / "states", some, ["lexical"], SAID.append)


def test_the_manifest_says_what_vllm_is_to_read(folder: Path, trained: Trained) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest["probes"]) == len(trained.columns)
    assert manifest["model"]["hidden_size"] == HIDDEN
    assert lexical().name != load(folder).name
