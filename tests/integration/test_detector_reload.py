"""A model whose files change under an installation that runs."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from detectors import artefacts, lexical
from tests.real_parts.installation import Installation, installation
from tests.real_parts.serving import until

WITHIN_S = 20.0
"""Until a change of files has its effect: two looks, two seconds apart, and the loading."""
NAME = "lexical-acme"
WORDS = "What is the capital of France?"


def put_in_place(folder: Path, new: Path) -> None:
    """Replace a model as an operator does: each file at once, the manifest last."""
    for name in (artefacts.MODEL, artefacts.MANIFEST):
        (new / name).replace(folder / name)


def surer_model(folder: Path) -> None:
    """Make a model that finds everything worse than the shipped one does."""
    content = artefacts.load(lexical.MODEL_FOLDER, lexical.NAME).content
    heads = {part: dict(head) | {"intercept": 50.0} for part, head in content.items()}
    artefacts.save(folder, lexical.NAME, heads)


def scores_of(one: Installation) -> Mapping[str, float]:
    """Return by version what the model says of a prompt that is asked now."""
    exchange = one.chat(WORDS)

    def mine() -> Mapping[str, float]:
        return {
            it.version: it.scores["any"]
            for it in one.verdicts()
            if (it.exchange_id, it.detector, it.part) == (exchange, NAME, "prompt")
        }

    until(lambda: bool(mine()), WITHIN_S)
    return mine()


def reloads(one: Installation, outcome: str) -> float:
    return one.metric("watchgate_detector_reloads_total", detector=NAME, outcome=outcome)


def test_a_model_is_replaced_and_a_broken_one_refused_while_everything_is_screened(
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(lexical.MODEL_FOLDER, tmp_path / "own"))
    own = {"kind": "lexical", "name": NAME, "model": str(folder)}
    with installation(tmp_path, detectors=[{"kind": "lexical"}, own]) as one:
        [(old, low)] = scores_of(one).items()
        surer_model(tmp_path / "new")
        put_in_place(folder, tmp_path / "new")
        until(lambda: reloads(one, "loaded") == 1, WITHIN_S)
        [(new, high)] = scores_of(one).items()
        assert (new != old, high > low) == (True, True)
        in_use = one.metric("watchgate_detector_info", detector=NAME, version=new)
        assert (in_use, one.metric("watchgate_detector_info", detector=NAME, version=old)) == (1, 0)

        (folder / artefacts.MODEL).write_bytes(b"half a mod")
        (folder / artefacts.MANIFEST).touch()
        until(lambda: reloads(one, "refused") == 1, WITHIN_S)
        assert scores_of(one) == {new: high}
        assert "the file was changed or damaged" in one.words()
        assert [it.unscanned for it in one.verdicts() if it.unscanned] == []
