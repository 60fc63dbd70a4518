"""How many series a gateway has: as many as its settings ask for, whatever callers send."""

import base64
import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from service.core.access import Reason
from service.core.callers import Denial
from service.core.jose import TokenDenial
from service.core.surfaces import SURFACES
from service.events.schema import Outcome
from service.gateway.problems import CODES
from service.identity.jwks import OUTCOMES
from tests.real_parts.gateway import (
    CHAT,
    KEY,
    MODEL,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    gateway_before,
)
from tests.real_parts.jwks import key_set, signing_key
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering
from tests.unit.service.settings.test_issuers import ISSUER

MODELS = [MODEL, "second"]
ROUNDS, EACH = 3, 12


def with_an_issuer(folder: Path, settings: dict[str, Any]) -> None:
    (folder / "keys.json").write_bytes(key_set(signing_key("ES256")))
    settings["auth"] = {"issuers": [{**ISSUER, "jwks_file": "keys.json", "algorithms": ["ES256"]}]}
    settings["models"].append({"name": "second", "upstream": "local", "tier": 0})


def series(gateway: RunningGateway) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    samples = gateway.samples()
    return {
        (it.name, frozenset(it.labels.items()))
        for it in samples
        if it.name.startswith("watchgate_") and not it.name.endswith("_created")
    }


def values(gateway: RunningGateway, name: str, label: str) -> set[str]:
    told = (dict(labels) for it, labels in series(gateway) if it == f"watchgate_{name}")
    return {labels[label] for labels in told}


def made_up(chance: random.Random) -> str:
    return "".join(chance.choices(string.ascii_letters, k=12))


def token(chance: random.Random) -> str:
    """Return what looks like a token, of an issuer and under a key that nobody knows."""
    parts = [
        {"alg": "ES256", "kid": made_up(chance)},
        {"iss": f"https://{made_up(chance)}.example", "sub": made_up(chance), "aud": "models"},
        {},
    ]
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(it).encode()).decode().rstrip("=") for it in parts
    )


def hostile(chance: random.Random) -> Iterator[tuple[str, object, list[tuple[str, str]], str]]:
    """Yield requests, each with its path, body, header fields and key."""
    for _ in range(EACH):
        word, body = made_up(chance), chat("q")
        yield CHAT, {**body, "model": word}, [], KEY
        yield f"/v1/{word}", body, [], KEY
        yield f"/{word}/chat/completions?{word}={word}", body, [], KEY
        yield CHAT, {**body, "user": word, "safety_identifier": made_up(chance)}, [], KEY
        yield CHAT, {**body, word: word}, [("x-request-id", word), (word, word)], KEY
        yield CHAT, body, [("traceparent", word), ("user-agent", word), ("origin", word)], KEY
        yield CHAT, body, [], word
        yield CHAT, body, [], token(chance)
        yield chance.choice([*(it.path for it in SURFACES.values())]), word.encode(), [], KEY
        yield f"/v1/models/{word}", b"", [], KEY
        yield CHAT, {**body, "messages": word, "stream": word}, [], KEY


async def send_all(gateway: RunningGateway, seed: int) -> None:
    for path, body, headers, key in hostile(random.Random(seed)):  # noqa: S311  (the same in each run)
        await gateway.post(path, body, headers=headers, key=key)


def test_what_callers_send_makes_no_series(tmp_path: Path) -> None:
    counts: list[int] = []

    @on_uvloop
    async def run() -> None:
        async with gateway_before(
            answering(answer_of(chat_body("yes"))),
            folder=tmp_path,
            change=lambda settings: with_an_issuer(tmp_path, settings),
        ) as gateway:
            at_start = series(gateway)
            for seed in range(ROUNDS):
                await send_all(gateway, seed)
                counts.append(len(series(gateway)))
            assert series(gateway) == at_start  # not one was added
            asked = ROUNDS * EACH * 11
            assert gateway.metric("requests_total") == asked

    run()
    assert len(set(counts)) == 1
    assert counts[0] <= bound()


def bound() -> int:
    """Return how many series a gateway with these settings may have."""
    surfaces, models = len(SURFACES) + 2, len(MODELS) + 1
    histogram = 15 + 3  # the most bounds of any, and +Inf, sum and count
    of_requests = surfaces * models * (len(CODES) + len(get_args(Outcome)) + histogram)
    of_models = models * (3 * histogram + len(Reason) + 40)
    reasons = len(Denial) + len(TokenDenial) + len(OUTCOMES)
    return of_requests + of_models + reasons + 500  # of what has no label of a request


def test_all_that_may_be_counted_stands_at_0_from_the_start(tmp_path: Path) -> None:
    @on_uvloop
    async def run() -> None:
        async with gateway_before(
            answering(answer_of(chat_body("yes"))),
            folder=tmp_path,
            change=lambda settings: with_an_issuer(tmp_path, settings),
        ) as gateway:
            ends = CODES | {*get_args(Outcome)}
            assert values(gateway, "requests_total", "outcome") == ends
            assert values(gateway, "requests_total", "model") == {*MODELS, "other"}
            assert values(gateway, "requests_total", "surface") == {*SURFACES, "models", "other"}
            assert values(gateway, "access_denied_total", "reason") == {*Reason}
            assert values(gateway, "auth_failures_total", "reason") == {
                "missing", "malformed", *Denial, *TokenDenial,
            }  # fmt: skip
            assert values(gateway, "issuer_key_refreshes_total", "outcome") == {*OUTCOMES}
            assert values(gateway, "enforcements_total", "action") == {"block", "cut_off"}
            before = {name for name, _ in series(gateway)}
            assert "watchgate_event_loop_lag_seconds_count" in before
            assert "watchgate_process_cpu_seconds_total" in before

    run()


def test_the_loops_lag_is_watched_while_it_serves(tmp_path: Path) -> None:
    @on_uvloop
    async def run() -> None:
        async with gateway_before(
            answering(answer_of(chat_body("yes"))), folder=tmp_path
        ) as gateway:
            while gateway.metric("event_loop_lag_seconds_count") < 2:
                assert (await gateway.post(CHAT, chat("q"))).status == 200

    run()
