"""A model whose files change under an installation that runs."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from detectors import artefacts, lexical
from service.wiring.detectors import detectors_of
from tests.real_parts.gateway import (
    CHAT,
    DONE,
    STREAM_END,
    STREAM_HEAD,
    RunningGateway,
    add_key_of_tests,
    answer_of,
    chat,
    chat_body,
    chat_event,
    framed,
    running,
    screener_beats,
    settings_in,
)
from tests.real_parts.installation import Installation, installation
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, Script, ScriptedUpstream, answering, eventually
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
    heads = {part: head | {"log_odds": head["log_odds"] + 50.0} for part, head in content.items()}
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
        until(lambda: reloads(one, "loaded") == 2, WITHIN_S)  # by the gateway, and the screener
        [(new, high)] = scores_of(one).items()
        assert (new != old, high > low) == (True, True)
        in_use = one.metric("watchgate_detector_info", detector=NAME, version=new)
        assert (in_use, one.metric("watchgate_detector_info", detector=NAME, version=old)) == (1, 0)

        (folder / artefacts.MODEL).write_bytes(b"half a mod")
        (folder / artefacts.MANIFEST).touch()
        until(lambda: reloads(one, "refused") == 2, WITHIN_S)
        assert scores_of(one) == {new: high}
        assert "the file was changed or damaged" in one.words()
        assert [it.unscanned for it in one.verdicts() if it.unscanned] == []


@asynccontextmanager
async def gateway(folder: Path, model: Path, *scripts: Script) -> AsyncIterator[RunningGateway]:
    """Run a gateway that blocks what the model in a folder is all but certain of."""

    def change(written: dict[str, Any]) -> None:
        blocks = {"detector": NAME, "category": "any", "threshold": 0.99, "action": "block"}
        written["detectors"] = [{"kind": "lexical", "name": NAME, "model": str(model)}]
        written["operating_points"] = [{**blocks, "part": part} for part in ("prompt", "answer")]
        written["screening"] = {"tiers": {1: {"answer": {"mode": "window", "window_chars": 40}}}}

    async with ScriptedUpstream(*scripts) as upstream:
        settings = settings_in(folder, upstream.port, 1, change)
        add_key_of_tests(settings)
        screener_beats(settings)
        async with running(settings, upstream, detectors_of(settings)) as one:
            yield one


async def reloaded(gateway: RunningGateway, outcome: str) -> None:
    """Wait until the gateway has taken or refused what is in the folder now."""
    labels = {"detector": NAME, "outcome": outcome}
    await eventually(lambda: gateway.metric("detector_reloads_total", **labels) == 1, WITHIN_S)


@on_uvloop
async def test_a_gateway_ends_an_answer_with_the_model_that_it_began_with(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(lexical.MODEL_FOLDER, tmp_path / "own"))
    surer_model(tmp_path / "new")
    go_on = asyncio.Event()
    text = "The weather will be fine all week, and the wind comes from the west. "

    async def answer_in_two(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD + framed(chat_event("So it is. ")) + framed(chat_event(text)))
        await go_on.wait()
        await peer.send(framed(chat_event(text)) + framed(chat_event(None)) + framed(DONE))
        await peer.send(STREAM_END)

    at_once = answering(answer_of(chat_body(text)))
    async with gateway(tmp_path, folder, answer_in_two, at_once) as one:
        begun = await one.begin(CHAT, chat(WORDS, stream=True))
        status, headers = await begun.head()
        assert await begun.part(), "what the version before let pass is on its way"
        assert (await one.post(CHAT, chat(WORDS))).status == 200

        put_in_place(folder, tmp_path / "new")
        await reloaded(one, "loaded")
        assert (await one.post(CHAT, chat(WORDS))).code == "content_filter"
        go_on.set()
        rest = await begun.body(status, headers)
        assert rest.body.endswith(DONE)
        assert b"content_filter" not in rest.body

        (folder / artefacts.MODEL).write_bytes(b"half a mod")
        (folder / artefacts.MANIFEST).touch()
        await reloaded(one, "refused")
        assert (await one.post(CHAT, chat(WORDS))).code == "content_filter"
        assert one.outcomes() == {"completed": 2, "blocked": 2}
