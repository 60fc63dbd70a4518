"""What probes in a real vLLM make of an exchange stands in the gateway's record of it."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import numpy as np
import pytest

from service.events.log import Topic
from service.events.schema import Closed, to_event
from service.vllm.home import default_home
from tests.e2e.test_probes import announce_plugin
from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.vllm import running_vllm
from tests.real_parts.watchgate import ROOT, Watchgate
from vllm_probe.digests import weights_digest
from vllm_probe.parts import Pooling
from vllm_probe.probes import Binding, Probe, save
from vllm_probe.watch import EVERY_TOKENS

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

LAYERS, HIDDEN = 30, 576
PROBES: Final = (Probe("any", 10, Pooling.MEAN), Probe("cyber", 20, Pooling.MAX))
FOUND_S: Final = 10.0
TOKENS: Final = 40


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Watchgate, str, str]]:
    """Yield an installation whose vLLM has the plugin, a key, and the digest of the probes."""
    folder, model = tmp_path_factory.mktemp("probed"), default_home().models / "smollm2"
    weights = np.random.default_rng(5).normal(size=(2, HIDDEN)).astype(np.float32)
    binding = Binding(weights_digest(model), LAYERS, HIDDEN)
    digest = save(folder / "probes", PROBES, weights, np.zeros(2, np.float32), binding)
    announce_plugin(folder / "site")
    sockets = folder / "sockets"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder / 'site'}:{ROOT}")
        patch.setenv("WATCHGATE_PROBES", str(folder / "probes"))
        patch.setenv("WATCHGATE_PROBE_SOCKETS", str(sockets))
        with running_vllm(folder / "vllm.log") as url:
            patch.undo()
            probes = {"sockets": str(sockets), "digest": digest}
            upstreams = [{"name": "local", "url": url, "probes": probes}]
            watchgate = Watchgate(folder / "watchgate", url, upstreams=upstreams)
            key = watchgate.create_key("acme")
            with watchgate:
                yield watchgate, key, digest


def engines(watchgate: Watchgate) -> float:
    return watchgate.metrics().total("probe_engines")


def ask(watchgate: Watchgate, key: str, path: str, **body: Any) -> None:  # noqa: ANN401
    answer = httpx.post(
        f"{watchgate.url}/v1/{path}",
        headers={"authorization": f"Bearer {key}"},
        json={"model": "smollm2", "temperature": 0, **body},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text


def last_closed(watchgate: Watchgate) -> Closed:
    return closed_in(watchgate)[-1]


def closed_in(watchgate: Watchgate) -> list[Closed]:
    events = [to_event(it.record) for it in watchgate.topic(Topic.EXCHANGES)]
    return [it for it in events if isinstance(it, Closed)]


def test_each_surface_has_its_readings_in_the_record(site: tuple[Watchgate, str, str]) -> None:
    watchgate, key, digest = site
    wait_until(lambda: engines(watchgate) == 1, FOUND_S, "vLLM's plugin has found the gateway")
    message = [{"role": "user", "content": "Tell me of rivers, and of the sea."}]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("chat/completions", {"messages": message, "max_tokens": TOKENS}),
        ("chat/completions", {"messages": message, "max_tokens": TOKENS, "stream": True}),
        ("completions", {"prompt": "Once there was a river", "max_tokens": TOKENS}),
        ("responses", {"input": "Tell me of rivers.", "max_output_tokens": TOKENS}),
        ("messages", {"messages": message, "max_tokens": TOKENS}),
    ]
    for number, (path, body) in enumerate(asked):
        ask(watchgate, key, path, **body)
        wait_until(lambda: len(closed_in(watchgate)) > number, FOUND_S, "the end is recorded")  # noqa: B023
        closed = last_closed(watchgate)
        found = closed.probed
        assert found is not None, path
        assert (found.digest, found.probes) == (digest, ("any", "cyber"))
        assert found.prompt is not None
        assert found.answer is not None
        assert 0 < found.prompt.read <= found.prompt.tokens
        if closed.prompt_tokens is not None:
            assert found.prompt.tokens == closed.prompt_tokens
        if closed.completion_tokens is not None:
            least = closed.completion_tokens - EVERY_TOKENS - 1
            assert least <= found.answer.read <= closed.completion_tokens


def test_a_gateway_that_starts_anew_is_found_again(site: tuple[Watchgate, str, str]) -> None:
    watchgate, key, _ = site
    watchgate.stop()
    watchgate.start()
    wait_until(lambda: engines(watchgate) == 1, FOUND_S, "vLLM's plugin has found the gateway")
    ask(watchgate, key, "completions", prompt="Once there was a hill", max_tokens=TOKENS)
    wait_until(lambda: last_closed(watchgate).probed is not None, FOUND_S, "it is read")
