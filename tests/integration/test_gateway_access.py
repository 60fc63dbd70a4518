"""Who may ask what, at a running gateway; see docs/access.md."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.core.directory import Rules
from service.errors import ConfigError
from service.events.audit import Denied
from service.events.audit import to_event as to_audit_event
from service.events.journal import read_topic
from service.events.log import Topic
from service.events.schema import Opened
from service.settings import Settings
from tests.real_parts.directory import expire_key, set_project, set_rules, suspend
from tests.real_parts.gateway import (
    CHAT,
    COMPLETIONS,
    DONE,
    KEY_ID,
    MODEL,
    STREAM_END,
    STREAM_HEAD,
    Connection,
    Reply,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    framed,
    gateway_before,
    rendered,
    screener_beats,
    settings_in,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, Script, answering, eventually

ANSWERS = answering(answer_of(chat_body()))
TRUSTING = {"access": {"trusted_proxies": ["127.0.0.1"]}}


def with_rules(rules: Rules, *, key_id: str | None = None) -> Callable[[Settings], None]:
    return lambda settings: set_rules(settings, rules, key_id=key_id)


def setting(**sections: Any) -> Callable[[dict[str, Any]], None]:  # noqa: ANN401  (YAML)
    return lambda written: written.update(sections)


def told(reply: Reply) -> tuple[int, str, str | None]:
    error = reply.json["error"]
    return reply.status, reply.code, error["param"]


async def becomes(gateway: RunningGateway, status: int, **body: Any) -> Reply:  # noqa: ANN401  (JSON)
    """Ask until the gateway has heard of what was changed."""
    async with asyncio.timeout(2):  # the contract: two seconds at most
        while True:
            reply = await gateway.post(CHAT, chat(**body))
            if reply.status == status:
                return reply


@pytest.mark.parametrize(
    ("rules", "path", "more", "expected"),
    [
        (Rules(models=("other",)), CHAT, {}, (403, "model_not_allowed", "model")),
        (Rules(surfaces=("messages",)), CHAT, {}, (403, "surface_not_allowed", None)),
        (Rules(addresses=("10.0.0.0/8",)), CHAT, {}, (403, "address_not_allowed", None)),
        (Rules(tools=False), CHAT, {"tools": [{}]}, (400, "invalid_request", "tools")),
        (Rules(max_tokens=9), CHAT, {"max_tokens": 10}, (400, "invalid_request", "max_tokens")),
        (Rules(max_choices=2), CHAT, {"n": 3}, (400, "invalid_request", "n")),
        (Rules(max_prompt_bytes=9), CHAT, {}, (400, "invalid_request", None)),
    ],
)
@on_uvloop
async def test_what_the_rules_do_not_allow_is_refused_before_the_upstream_is_called(
    tmp_path: Path,
    rules: Rules,
    path: str,
    more: dict[str, Any],
    expected: tuple[int, str, str | None],
) -> None:
    for key_id in (None, KEY_ID):
        folder = tmp_path / str(key_id)
        folder.mkdir()
        prepare = with_rules(rules, key_id=key_id)
        async with gateway_before(ANSWERS, folder=folder, prepare=prepare) as gateway:
            reply = await gateway.post(path, chat(**more))
            assert told(reply) == expected
            assert gateway.upstream.connections == 0
            assert gateway.kinds() == []
            denied = gateway.metric("access_denied_total", model=MODEL)
            assert denied == 1


@on_uvloop
async def test_an_answer_is_bounded_to_the_cap_where_the_caller_bounds_nothing(
    tmp_path: Path,
) -> None:
    prepare = with_rules(Rules(max_tokens=9))
    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 200
        assert (await gateway.post(CHAT, chat(max_completion_tokens=4))).status == 200
        unbounded = {"model": MODEL, "prompt": "Hi", "max_tokens": None}
        assert (await gateway.post(COMPLETIONS, unbounded)).status == 200
        sent = gateway.upstream.requests
        first, second, third = (json.loads(it.partition(b"\r\n\r\n")[2]) for it in sent)
        assert first["max_tokens"] == 9
        assert "max_tokens" not in second
        assert third["max_tokens"] == 9


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        (["203.0.113.5"], 200),
        (["10.9.9.9, 203.0.113.5"], 200),
        (["203.0.113.5", "127.0.0.1"], 200),
        (["203.0.113.5, 10.9.9.9"], 403),
        (["203.0.113.5", "10.9.9.9"], 403),
        (["nonsense"], 403),
        ([], 403),
    ],
)
@on_uvloop
async def test_the_source_is_what_trusted_proxies_say_and_not_what_callers_write(
    tmp_path: Path, forwarded: list[str], status: int
) -> None:
    prepare = with_rules(Rules(addresses=("203.0.113.0/24",)))
    headers = [("x-forwarded-for", value) for value in forwarded]
    spoofed = [("forwarded", "for=203.0.113.5"), ("x-real-ip", "203.0.113.5")]
    async with gateway_before(
        ANSWERS, folder=tmp_path, prepare=prepare, change=setting(**TRUSTING)
    ) as gateway:
        reply = await gateway.post(CHAT, chat(), headers=[*headers, *spoofed])
        assert reply.status == status


@on_uvloop
async def test_without_trusted_proxies_nobody_says_where_a_caller_is(tmp_path: Path) -> None:
    prepare = with_rules(Rules(addresses=("203.0.113.0/24",)))
    headers = [("x-forwarded-for", "203.0.113.5")]
    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        assert (await gateway.post(CHAT, chat(), headers=headers)).code == "address_not_allowed"


@on_uvloop
async def test_models_that_a_key_may_not_use_are_not_listed(tmp_path: Path) -> None:
    def change(written: dict[str, Any]) -> None:
        written["models"].append({"name": "hidden", "upstream": "local", "tier": 0})

    prepare = with_rules(Rules(models=(MODEL,)))
    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare, change=change) as gateway:
        listed = (await gateway.get("/v1/models")).json["data"]
        assert [model["id"] for model in listed] == [MODEL]
        assert (await gateway.get("/v1/models/hidden")).code == "model_not_found"


@on_uvloop
async def test_a_request_counts_for_its_end_user_and_its_key(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        header = [("openai-safety-identifier", "alice")]
        await gateway.post(CHAT, chat(user="alice"))
        await gateway.post(CHAT, chat(), headers=header)
        await gateway.post(CHAT, chat(safety_identifier="bob"))
        await gateway.post(CHAT, chat())
        opened = [it for it, _ in await gateway.events(8) if isinstance(it, Opened)]
        alice, again, bob, nobody = [event.account for event in opened]
        assert alice == again != bob
        assert nobody == "project"
        assert alice.startswith("project/")
        assert bob.startswith("project/")
        assert {(event.project, event.key) for event in opened} == {("project", KEY_ID)}


@on_uvloop
async def test_a_key_that_brings_too_many_end_users_is_limited(tmp_path: Path) -> None:
    change = setting(access={"new_end_users_per_hour": 2})
    async with gateway_before(ANSWERS, folder=tmp_path, change=change) as gateway:
        statuses = [
            (await gateway.post(CHAT, chat(user=user))).status for user in ("a", "b", "a", "c")
        ]
        assert statuses == [200, 200, 200, 429]
        assert gateway.metric("rate_limited_total", kind="new_end_users") == 1


@on_uvloop
async def test_where_end_users_are_required_a_request_without_one_is_refused(
    tmp_path: Path,
) -> None:
    change = setting(access={"tiers": {"0": {"end_users": "required"}}})
    async with gateway_before(ANSWERS, folder=tmp_path, change=change) as gateway:
        reply = await gateway.post(CHAT, chat())
        assert told(reply) == (400, "invalid_request", "safety_identifier")
        assert (await gateway.post(CHAT, chat(user="alice"))).status == 200
        reply = await gateway.post(COMPLETIONS, {"model": MODEL, "prompt": "Hi", "user": ""})
        assert told(reply) == (400, "invalid_request", "user")


@on_uvloop
async def test_a_suspended_account_is_refused_before_the_upstream_is_called(
    tmp_path: Path,
) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        await gateway.post(CHAT, chat(user="alice"))
        opened, _ = (await gateway.events(2))[0]
        suspend(gateway.settings, opened.account)
        reply = await becomes(gateway, 403, user="alice")
        assert told(reply) == (403, "account_suspended", None)
        assert reply.headers["x-should-retry"] == "false"
        requests = len(gateway.upstream.requests)
        assert (await gateway.post(CHAT, chat(user="alice"))).status == 403
        assert len(gateway.upstream.requests) == requests
        assert (await gateway.post(CHAT, chat(user="bob"))).status == 200
        assert (await gateway.post(CHAT, chat())).status == 200
        suspend(gateway.settings)
        assert (await becomes(gateway, 403)).code == "account_suspended"
        assert (await gateway.post(CHAT, chat(user="bob"))).status == 403


@on_uvloop
async def test_keys_of_a_disabled_project_are_refused(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 200
        set_project(gateway.settings, disabled_at=1.0)
        assert (await becomes(gateway, 401)).code == "invalid_api_key"
        set_project(gateway.settings, disabled_at=None)
        await becomes(gateway, 200)


def endless(go_on: asyncio.Event) -> Script:
    """Stream an event, and go on once the test says so."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD + framed(chat_event("one ")))
        await go_on.wait()
        await peer.send(framed(chat_event("two")) + framed(chat_event(None)) + framed(DONE))
        await peer.send(STREAM_END)

    return script


async def rest_of(caller: Connection) -> bytes:
    """Read a stream to its end."""
    parts = []
    while part := await caller.part():
        parts.append(part)
    return b"".join(parts)


ENDS = setting(access={"tiers": {"0": {"ends_answers": True}}})


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (RunningGateway.revoke_key, b"invalid_api_key"),
        (lambda gateway: suspend(gateway.settings), b"account_suspended"),
        (lambda gateway: set_project(gateway.settings, disabled_at=1.0), b"invalid_api_key"),
    ],
)
@on_uvloop
async def test_an_answer_under_way_ends_with_the_right_to_it(
    tmp_path: Path, end: Callable[[RunningGateway], None], code: bytes
) -> None:
    script = endless(asyncio.Event())
    async with gateway_before(script, folder=tmp_path, change=ENDS) as gateway:
        caller = await gateway.begin(CHAT, chat(stream=True))
        await caller.head()
        assert b"one" in await caller.part()
        end(gateway)
        async with asyncio.timeout(2):  # the contract: two seconds at most
            rest = await caller.part()
        assert b'"code":"' + code in rest
        assert b"[DONE]" not in rest
        assert not await caller.part()
        assert (await gateway.exchange()).closed.outcome == "revoked"
        assert gateway.outcomes() == {"revoked": 1}


@on_uvloop
async def test_an_answer_under_way_of_an_open_tier_goes_on_without_its_key(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with gateway_before(endless(go_on), ANSWERS, folder=tmp_path) as gateway:
        caller = await gateway.begin(CHAT, chat(stream=True))
        await caller.head()
        assert b"one" in await caller.part()
        gateway.revoke_key()
        await becomes(gateway, 401)
        go_on.set()
        assert b"two" in await caller.part()
        assert (await rest_of(caller)).endswith(DONE)


@on_uvloop
async def test_a_key_that_expires_lets_its_answer_come_to_its_end(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with gateway_before(endless(go_on), ANSWERS, folder=tmp_path, change=ENDS) as gateway:
        caller = await gateway.begin(CHAT, chat(stream=True))
        await caller.head()
        expire_key(gateway.settings)
        await becomes(gateway, 401)
        go_on.set()
        assert (await rest_of(caller)).endswith(DONE)


@on_uvloop
async def test_a_key_that_expires_while_its_request_comes_is_refused(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        whole = rendered(CHAT, chat())
        caller = await gateway.connect()
        await caller.send(whole[:-1])
        await eventually(lambda: gateway.pipeline.meters.in_flight == 1)
        expire_key(gateway.settings)
        await becomes(gateway, 401)
        await caller.send(whole[-1:])
        assert (await caller.reply()).code == "invalid_api_key"


@on_uvloop
async def test_a_model_of_tier_2_is_served_to_those_who_name_their_end_user(
    tmp_path: Path,
) -> None:
    point = {"detector": "lexical", "category": "any", "part": "answer", "threshold": 0.99}
    change = setting(operating_points=[{**point, "action": "block"}])
    async with gateway_before(
        ANSWERS, folder=tmp_path, tier=2, change=change, prepare=screener_beats
    ) as gateway:
        assert told(await gateway.post(CHAT, chat())) == (
            400, "invalid_request", "safety_identifier",
        )  # fmt: skip
        assert (await gateway.post(CHAT, chat(user="alice"))).status == 200
        exchange = await gateway.exchange()
        assert exchange.opened.tier == 2
        assert exchange.opened.account.startswith("project/")


def test_an_adapter_is_at_least_tier_2(tmp_path: Path) -> None:
    def change(written: dict[str, Any]) -> None:
        written["models"][0]["adapter"] = True

    with pytest.raises(ConfigError, match=r"models\[0\]\.tier: an adapter is at least tier 2"):
        settings_in(tmp_path, 1, 1, change)


def test_a_tier_that_requires_end_users_cannot_be_told_not_to(tmp_path: Path) -> None:
    change = setting(access={"tiers": {"2": {"end_users": "optional"}}})
    with pytest.raises(ConfigError, match=r"access\.tiers\.2\.end_users: tier 2 requires"):
        settings_in(tmp_path, 1, 1, change)


def test_a_proxy_that_is_no_network_is_a_mistake(tmp_path: Path) -> None:
    change = setting(access={"trusted_proxies": ["10.0.0.1/8"]})
    with pytest.raises(ConfigError, match=r"access\.trusted_proxies: expected networks"):
        settings_in(tmp_path, 1, 1, change)


@on_uvloop
async def test_the_audit_log_is_told_all_that_spoke_against_a_request(tmp_path: Path) -> None:
    prepare = with_rules(Rules(models=(), tools=False))
    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        for _ in range(3):
            assert (await gateway.post(CHAT, chat(tools=[{}]))).code == "model_not_allowed"
        journal = gateway.settings.data_dir / "journal"
        await eventually(lambda: any(read_topic(journal, Topic.AUDIT)))
        first = to_audit_event(next(iter(read_topic(journal, Topic.AUDIT))).record)
        assert isinstance(first, Denied)
        assert first.reasons == ("model_not_allowed", "tools_not_allowed")
        assert (first.key, first.model, first.surface) == (KEY_ID, MODEL, "chat")


def ed25519() -> tuple[Ed25519PrivateKey, str]:
    """Return a key that a project signs with, and the public one as an administrator has it."""
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private, pem.decode()


def signed(private: Ed25519PrivateKey, end_user: str, **claims: object) -> str:
    now = int(time.time())
    stated = {"sub": end_user, "aud": "watchgate", "iat": now, "exp": now + 600, **claims}
    return jwt.encode(stated, private, "EdDSA")


@on_uvloop
async def test_where_ids_are_signed_only_the_projects_signature_counts(tmp_path: Path) -> None:
    private, pem = ed25519()
    stranger, _ = ed25519()
    change = setting(access={"tiers": {"0": {"end_users": "signed"}}})
    async with gateway_before(
        ANSWERS,
        folder=tmp_path,
        change=change,
        prepare=lambda settings: set_project(settings, end_user_key=pem),
    ) as gateway:
        users = {
            "nobody": None,
            "plain": "alice",
            "forged": signed(stranger, "alice"),
            "expired": signed(private, "alice", exp=int(time.time()) - 60),
            "another's": signed(private, "alice", project="chat"),
        }
        for name, user in users.items():
            reply = await gateway.post(CHAT, chat(user=user))
            assert (name, reply.status, reply.code) == (name, 400, "invalid_request")
        for user in (signed(private, "alice"), signed(private, "alice", jti="2")):
            assert (await gateway.post(CHAT, chat(user=user))).status == 200
        opened = [it for it, _ in await gateway.events(4) if isinstance(it, Opened)]
        assert len({event.account for event in opened}) == 1
        assert opened[0].account.startswith("project/")
