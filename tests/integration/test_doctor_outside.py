"""`watchgate doctor --outside`: real servers that behave as vLLM, as the gateway, and worse."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.core.perimeter import ROUTES
from service.doctor.local import listeners_on
from service.doctor.outside import outside
from service.doctor.results import Result, asked
from tests.real_parts.certificates import self_signed
from tests.real_parts.gateway import gateway_before
from tests.real_parts.kafka_broker import free_port
from tests.real_parts.scripted import Peer, Script, ScriptedUpstream, answering
from tests.real_parts.serving import until
from tests.real_parts.vllm_like import DEV_POSTS, HOOK_POSTS, LORA_POSTS, VllmLike

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
TOO_LONG_A_LABEL = "a" * 64
"""So that no name server is asked."""
PATHS = {route.path for route in ROUTES}


async def results_of(url: str) -> dict[str, Result]:
    return {result.name: result for result in await asked("outside", outside(url))}


def with_status(results: dict[str, Result], status: str) -> set[str]:
    return {name for name, result in results.items() if result.finding.status == status}


async def test_a_vllm_without_key_is_open_and_no_probe_asks_it_for_anything() -> None:
    with VllmLike() as vllm:
        results = await results_of(vllm.url)
    problems = with_status(results, "problem")
    assert {"/invocations", "/v1/chat/completions", "/v1/models", "/metrics"} <= problems
    assert not problems & (DEV_POSTS | LORA_POSTS | HOOK_POSTS)
    assert "wide open" in results["/v1/models"].finding.found
    assert "reachable" in results["/invocations"].finding.found
    assert {method for method, _ in vllm.asked} <= SAFE_METHODS
    assert vllm.bodies == 0
    assert ("GET", "/server_info") not in vllm.asked


async def test_a_key_guards_v1_and_leaves_invocations_open() -> None:
    with VllmLike(key="k", posts=LORA_POSTS | HOOK_POSTS) as vllm:
        results = await results_of(vllm.url)
    guarded = LORA_POSTS | HOOK_POSTS | {"/v1/chat/completions", "/inference/v1/generate"}
    for path in guarded:
        assert "there, but guarded" in results[path].finding.found
    assert "guarded" in results["/v1/hooks/clear"].finding.found
    assert "there" not in results["/v1/hooks/clear"].finding.found
    assert {"/invocations", "/metrics", "/tokenize"} <= with_status(results, "problem")


async def test_dev_mode_adapters_and_hooks_are_each_found_without_a_key() -> None:
    with VllmLike(dev_mode=True, posts=LORA_POSTS | HOOK_POSTS) as vllm:
        problems = with_status(await results_of(vllm.url), "problem")
    assert DEV_POSTS | LORA_POSTS | HOOK_POSTS | {"/server_info"} <= problems


async def test_the_gateway_itself_may_be_reached(tmp_path: Path) -> None:
    async with gateway_before(answering(b""), folder=tmp_path) as gateway:
        results = await results_of(f"http://127.0.0.1:{gateway.port}")
        assert gateway.upstream.connections == 0
    assert results.keys() == PATHS
    assert with_status(results, "ok") == PATHS
    assert "404 not_found" in results["/invocations"].finding.found
    assert "401 invalid_api_key" in results["/v1/models"].finding.found


async def test_a_proxy_that_lets_one_path_past_the_gateway_is_found() -> None:
    passed = {"*": 404, "/invocations": 405}
    with VllmLike(statuses=passed) as proxy:
        results = await results_of(proxy.url)
    assert with_status(results, "problem") == {"/invocations"}


async def test_where_nothing_listens_all_is_well() -> None:
    results = await results_of(f"http://127.0.0.1:{free_port()}")
    assert {name: it.finding.status for name, it in results.items()} == {"every path": "ok"}
    assert "refused" in results["every path"].finding.found


async def test_a_name_without_address_is_no_proof() -> None:
    results = await results_of(f"http://{TOO_LONG_A_LABEL}.invalid:8000")
    assert results["every path"].finding.status == "could-not-check"


async def hang(peer: Peer) -> None:
    await peer.stall()


async def drop(peer: Peer) -> None:
    await peer.first_bytes()


async def speak_otherwise(peer: Peer) -> None:
    await peer.first_bytes()
    await peer.send(b"\x15\x03\x01\x00\x02\x02\x46")


@pytest.mark.parametrize(
    ("script", "words"),
    [(hang, "no answer comes"), (drop, "closed"), (speak_otherwise, "without an answer in HTTP")],
)
async def test_who_takes_connections_and_does_not_answer_is_not_passed(
    script: Script, words: str
) -> None:
    async with ScriptedUpstream(script) as server:
        results = await results_of(f"http://127.0.0.1:{server.port}")
    assert with_status(results, "could-not-check") == PATHS
    assert words in results["/invocations"].finding.found


async def test_a_redirect_is_not_followed() -> None:
    with (
        VllmLike() as elsewhere,
        VllmLike(statuses={"*": 308}, headers={"location": elsewhere.url}) as server,
    ):
        results = await results_of(server.url)
        assert elsewhere.asked == []
    assert with_status(results, "could-not-check") == PATHS


@pytest.mark.parametrize("status", [200, 400, 405])
async def test_a_server_that_answers_every_path_alike_proves_nothing(status: int) -> None:
    with VllmLike(statuses={"*": status}) as server:
        results = await results_of(server.url)
    assert with_status(results, "could-not-check") == PATHS


@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_asks_everybody_for_a_key_is_shut(status: int) -> None:
    with VllmLike(statuses={"*": status}) as server:
        assert with_status(await results_of(server.url), "ok") == PATHS


async def test_a_certificate_that_nobody_vouches_for_is_a_note(tmp_path: Path) -> None:
    tls = self_signed(tmp_path, "IP:127.0.0.1").server_context()
    with VllmLike(tls=tls) as vllm:
        results = await results_of(vllm.url)
    assert results["certificate"].finding.status == "ok"
    assert results["/invocations"].finding.status == "problem"


@contextmanager
def asking_for_certificates(folder: Path) -> Iterator[str]:
    """Run a server that takes nobody who shows no certificate of its authority."""
    made, port = self_signed(folder, "IP:127.0.0.1"), free_port()
    cert, key = str(made.certificate), str(made.key)
    server = "openssl s_server -www -quiet -Verify 1 -verify_return_error"
    options = ["-accept", f"127.0.0.1:{port}", "-cert", cert, "-key", key, "-CAfile", cert]
    process = subprocess.Popen([*server.split(), *options], stderr=subprocess.DEVNULL)
    try:
        until(lambda: bool(listeners_on(port)))
        yield f"https://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def test_a_server_that_asks_for_a_certificate_is_shut(tmp_path: Path) -> None:
    with asking_for_certificates(tmp_path) as url:
        results = await results_of(url)
    assert results["every path"].finding.status == "ok"
    assert "certificate is asked" in results["every path"].finding.found


async def test_https_where_http_is_spoken_is_not_passed() -> None:
    with VllmLike() as vllm:
        results = await results_of(vllm.url.replace("http:", "https:"))
    assert with_status(results, "could-not-check") == PATHS
    assert "handshake" in results["/invocations"].finding.found


async def test_an_address_may_have_a_path_before_all_others() -> None:
    with VllmLike(statuses={"/llm/invocations": 405}) as proxy:
        results = await results_of(f"{proxy.url}/llm/")
    assert with_status(results, "problem") == {"/invocations"}
