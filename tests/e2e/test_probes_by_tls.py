"""A real vLLM tells by TLS what probes see, as it does on another host; the gateway keeps it."""

from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest

from service.events.log import Topic
from service.events.schema import Closed, to_event
from service.vllm.home import default_home
from tests.e2e.test_probes import announce_plugin
from tests.real_parts.certificates import Authority
from tests.real_parts.kafka_broker import free_port, wait_until
from tests.real_parts.vllm import running_vllm
from tests.real_parts.watchgate import ROOT, Watchgate
from vllm_probe.digests import weights_digest
from vllm_probe.parts import Pooling
from vllm_probe.probes import Binding, Probe, save

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

LAYERS, HIDDEN = 30, 576
PROBES: Final = (Probe("any", 10, Pooling.MEAN),)
FOUND_S: Final = 20.0
TOKENS: Final = 40


def probes_in(folder: Path) -> str:
    """Make probes of the small model; return their digest."""
    weights = np.random.default_rng(5).normal(size=(1, HIDDEN)).astype(np.float32)
    digest = weights_digest(default_home().models / "smollm2")
    binding = Binding(digest, LAYERS, HIDDEN)
    return save(folder, PROBES, weights, np.zeros(1, np.float32), binding)


def ask(watchgate: Watchgate, key: str) -> Closed:
    """Ask once; return the end of it as it was recorded."""
    before = len(closed_in(watchgate))
    answer = httpx.post(
        f"{watchgate.url}/v1/completions",
        headers={"authorization": f"Bearer {key}"},
        json={"model": "smollm2", "prompt": "Once there was a river", "max_tokens": TOKENS},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    wait_until(lambda: len(closed_in(watchgate)) > before, FOUND_S, "the end is recorded")
    return closed_in(watchgate)[-1]


def closed_in(watchgate: Watchgate) -> list[Closed]:
    events = [to_event(it.record) for it in watchgate.topic(Topic.EXCHANGES)]
    return [it for it in events if isinstance(it, Closed)]


def test_readings_come_by_tls_and_again_after_the_gateway_was_started_anew(
    tmp_path: Path,
) -> None:
    authority, port = Authority(tmp_path / "pki"), free_port()
    shown = authority.sign("gateway", "serverAuth", "DNS:localhost")
    own = authority.sign("plugin", "clientAuth")
    ca = str(authority.own.certificate)
    digest = probes_in(tmp_path / "probes")
    announce_plugin(tmp_path / "site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{ROOT}")
        patch.setenv("WATCHGATE_PROBES", str(tmp_path / "probes"))
        patch.setenv("WATCHGATE_PROBE_GATEWAYS", f"localhost:{port}")
        patch.setenv("WATCHGATE_PROBE_CERT", str(own.certificate))
        patch.setenv("WATCHGATE_PROBE_KEY", str(own.key))
        patch.setenv("WATCHGATE_PROBE_CA", ca)
        with running_vllm(tmp_path / "vllm.log") as url:
            patch.undo()
            listen: dict[str, Any] = {"host": "127.0.0.1", "port": port, "ca_file": ca}
            listen |= {"cert_file": str(shown.certificate), "key_file": str(shown.key)}
            probes = {"listen": listen, "digest": digest, "required": True}
            upstreams = [{"name": "local", "url": url, "probes": probes}]
            watchgate = Watchgate(tmp_path / "watchgate", url, upstreams=upstreams)
            key = watchgate.create_key("acme")
            for _ in range(2):  # it is started, and again
                with watchgate:
                    wait_until(
                        lambda: watchgate.metrics().total("probe_engines") == 1,
                        FOUND_S,
                        "vLLM's plugin has found the gateway",
                    )
                    found = ask(watchgate, key).probed
                    assert found is not None
                    assert found.digest == digest
                    assert found.prompt is not None
                    assert found.answer is not None
                    assert found.answer.read >= TOKENS // 2
