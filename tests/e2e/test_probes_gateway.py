"""The shipped probes in a real vLLM: what is read is recorded, judged, and cuts answers off."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest

from detectors.probe import MODEL_FOLDER
from detectors.probe.states import read
from service.events.log import Topic
from service.events.schema import Closed, Verdict, to_event
from service.vllm.home import default_home
from tests.real_parts.kafka_broker import free_port, wait_until
from tests.real_parts.vllm import running_vllm
from tests.real_parts.watchgate import MISUSE, ROOT, Watchgate
from vllm_probe.probes import load
from vllm_probe.watch import EVERY_STEPS

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

STATE_S: Final = 10.0
"""Within so long a gateway knows whether the probes tell: the contract's deadline."""
TOKENS: Final = 40
WINDOW_CHARS: Final = 60
QUESTIONS: Final = ("What is the capital of France?", "Tell me of rivers, and of the sea.", MISUSE)
POINT: Final[dict[str, Any]] = {
    "detector": "probe",
    "category": "any",
    "part": "answer",
    "threshold": 1e-9,  # every answer crosses it, once vLLM has told of its first tokens
    "action": "block",
    "models": ["guarded"],
}


@dataclass
class Site:
    """An installation whose vLLM has the plugin, and a key."""

    folder: Path
    port: int
    watchgate: Watchgate
    vllm: ExitStack
    key: str = ""

    def serve(self, model: str, log: str) -> None:
        """Have vLLM serve a model, with the probes of the small one."""
        arguments = ["--probe-sockets", str(self.folder / "sockets"), "--probes", str(MODEL_FOLDER)]
        running = running_vllm(self.folder / log, "--model", model, *arguments, port=self.port)
        self.vllm.enter_context(running)

    def ask(self, path: str, *, model: str = "smollm2", **body: Any) -> httpx.Response:  # noqa: ANN401
        answer = httpx.post(
            f"{self.watchgate.url}/v1/{path}",
            headers={"authorization": f"Bearer {self.key}"},
            json={"model": model, "temperature": 0, **body},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return answer

    def chat(self, question: str, **body: Any) -> httpx.Response:  # noqa: ANN401
        messages = [{"role": "user", "content": question}]
        return self.ask("chat/completions", messages=messages, max_tokens=TOKENS, **body)

    def closed(self) -> list[Closed]:
        events = [to_event(it.record) for it in self.watchgate.topic(Topic.EXCHANGES)]
        return [it for it in events if isinstance(it, Closed)]

    def last_closed(self, after: int) -> Closed:
        """Return the last end that was recorded, once there are more than so many."""
        wait_until(lambda: len(self.closed()) > after, STATE_S, "the end is recorded")
        return self.closed()[-1]

    def verdicts(self, exchange_id: str) -> dict[str, Verdict]:
        """Return what the probes' detector said of the parts of an exchange."""
        events = [to_event(it.record) for it in self.watchgate.topic(Topic.VERDICTS)]
        mine = [it for it in events if isinstance(it, Verdict) and it.exchange_id == exchange_id]
        return {it.part: it for it in mine if it.detector == "probe"}

    def judged(self, exchange_id: str) -> dict[str, Verdict]:
        wait_until(lambda: len(self.verdicts(exchange_id)) == 3, STATE_S, "it is judged")
        return self.verdicts(exchange_id)

    @property
    def safeguard(self) -> float:
        """Of `smollm2`: 1 while it is proved active."""
        found = self.watchgate.metrics()
        return found.total("safeguard_active", model="smollm2", safeguard="probes")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("probed"), free_port()
    url = f"http://127.0.0.1:{port}"
    guarded = {"tiers": {1: {"answer": {"mode": "window", "window_chars": WINDOW_CHARS}}}}
    watchgate = Watchgate(
        folder / "watchgate",
        url,
        upstreams=[{"name": "local", "url": url, "probes": {"sockets": str(folder / "sockets")}}],
        models=[
            {"name": it, "upstream": "local", "upstream_model": "smollm2", "tier": 1}
            for it in ("smollm2", "guarded")
        ],
        detectors=[{"kind": it} for it in ("lexical", "rules", "probe")],
        operating_points=[POINT],
        screening=guarded,
    )
    with ExitStack() as vllm, pytest.MonkeyPatch.context() as environment:
        environment.setenv("VLLM_SERVER_DEV_MODE", "1")  # its weights may be loaded anew
        site = Site(folder, port, watchgate, vllm)
        site.serve("smollm2", "vllm.log")
        site.key = watchgate.create_key("acme")
        with watchgate:
            wait_until(lambda: site.safeguard == 1, STATE_S, "the plugin has found the gateway")
            yield site


def test_each_surface_has_its_readings_in_the_record(site: Site) -> None:
    message = [{"role": "user", "content": QUESTIONS[1]}]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("chat/completions", {"messages": message, "max_tokens": TOKENS}),
        ("chat/completions", {"messages": message, "max_tokens": TOKENS, "stream": True}),
        ("completions", {"prompt": "Once there was a river", "max_tokens": TOKENS}),
        ("responses", {"input": "Tell me of rivers.", "max_output_tokens": TOKENS}),
        ("messages", {"messages": message, "max_tokens": TOKENS}),
    ]
    digest = load(MODEL_FOLDER).digest
    for path, body in asked:
        before = len(site.closed())
        site.ask(path, **body)
        closed = site.last_closed(before)
        found = closed.probed
        assert found is not None, path
        assert found.digest == digest
        assert found.prompt is not None
        assert found.answer is not None
        assert 0 < found.prompt.read <= found.prompt.tokens
        if closed.prompt_tokens is not None:
            assert found.prompt.tokens == closed.prompt_tokens
        if closed.completion_tokens is not None:
            least = closed.completion_tokens - EVERY_STEPS - 1
            assert least <= found.answer.read <= closed.completion_tokens


def test_a_stand_in_for_misuse_has_its_score_in_the_verdict(site: Site) -> None:
    scores = {}
    for question in QUESTIONS:
        before = len(site.closed())
        site.chat(question)
        found = site.judged(site.last_closed(before).exchange_id)
        assert set(found) == {"prompt", "answer", "exchange"}
        scores[question] = found["prompt"].scores["any"]
        read = found["prompt"].read
        assert read is not None
        assert read.digest == load(MODEL_FOLDER).digest
        assert read.read == read.tokens
    assert scores[MISUSE] > 0.5 > scores[QUESTIONS[0]]


def test_what_vllm_tells_is_what_probes_were_trained_on(site: Site, tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "text": it, "label": n % 2, "source": f"s{n}", "licence": "own"}
        for n, it in enumerate(QUESTIONS)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(it) + "\n" for it in rows))
    model = default_home().models / "smollm2"
    command = [
        *(sys.executable, "-m", "service.cli", "probes", "collect", "--dtype", "float32"),
        *("--model", str(model), "--rows", str(tmp_path / "rows.jsonl")),
        *("--output", str(tmp_path / "states"), "--python", str(default_home().python)),
    ]
    for _ in range(2):  # the second time there is nothing left to do
        subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    states, probes = read(tmp_path / "states"), load(MODEL_FOLDER)
    for number, row in enumerate(states.rows):
        before = len(site.closed())
        site.chat(QUESTIONS[int(row.id)])
        told = site.last_closed(before).probed
        assert told is not None
        assert told.prompt is not None
        of_row = [
            states.of(it.layer, it.pooling)[number] @ probes.weights[i] + probes.offsets[i]
            for i, it in enumerate(probes.probes)
            if it.category != "answer"
        ]
        assert told.prompt.scores[: len(of_row)] == pytest.approx(np.array(of_row), abs=0.02)


def test_an_answer_that_crosses_a_point_is_cut_off_within_the_bound(site: Site) -> None:
    before = len(site.closed())
    site.ask(
        "chat/completions",
        model="guarded",
        messages=[{"role": "user", "content": "Count from one to two hundred, in words."}],
        max_tokens=200,
        stream=True,
    )
    closed = site.last_closed(before)
    assert closed.outcome == "cut_off"
    assert closed.finish_reasons == () or "stop" not in closed.finish_reasons
    assert closed.screening is not None
    assert [it.detector for it in closed.screening.crossed] == ["probe"]
    assert closed.probed is not None
    assert closed.probed.answer is not None
    assert closed.probed.answer.tokens <= 4 * EVERY_STEPS  # told, and on its way
    assert closed.generated_chars is not None
    assert closed.released_chars is not None
    assert closed.released_chars <= max(0, closed.generated_chars - WINDOW_CHARS)
    found = site.judged(closed.exchange_id)["answer"]
    assert found.enforced == "cut_off"
    assert [it.category for it in found.crossed] == ["any"]


def test_a_gateway_that_starts_anew_is_found_again(site: Site) -> None:
    site.watchgate.stop()
    site.watchgate.start()
    wait_until(lambda: site.safeguard == 1, STATE_S, "vLLM's plugin has found the gateway")
    before = len(site.closed())
    site.chat(QUESTIONS[0])
    told = site.last_closed(before).probed
    assert told is not None
    assert told.prompt is not None


def test_weights_that_change_while_vllm_runs_end_the_reading_until_it_starts_anew(
    site: Site,
) -> None:
    httpx.post(
        f"http://127.0.0.1:{site.port}/collective_rpc",
        json={"method": "reload_weights"},
        timeout=60,
    ).raise_for_status()
    wait_until(lambda: site.safeguard == 0, STATE_S, "the safeguard is known to be inactive")
    before = len(site.closed())
    site.chat(QUESTIONS[0])
    told = site.last_closed(before).probed
    assert told is not None
    assert told.prompt is None
    assert "the weights change" in (site.folder / "vllm.log").read_text()
    site.vllm.close()
    site.serve("smollm2", "anew.log")
    wait_until(lambda: site.safeguard == 1, STATE_S, "its plugin has found the gateway")


def test_other_weights_are_served_unread_and_the_safeguard_says_so(site: Site) -> None:
    site.vllm.close()
    wait_until(lambda: site.safeguard == 0, STATE_S, "the safeguard is known to be inactive")
    other = site.folder / "smollm2-tuned"
    shutil.copytree(default_home().models / "smollm2", other)
    with (other / "model.safetensors").open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"\x01\x3c")  # one number of one weight
    site.serve(str(other), "other.log")
    before = len(site.closed())
    site.chat(QUESTIONS[0])
    closed = site.last_closed(before)
    assert closed.outcome == "completed"
    assert closed.probed is not None
    assert closed.probed.prompt is None
    assert {it.unscanned for it in site.judged(closed.exchange_id).values()} == {"no_reading"}
    assert site.safeguard == 0
    assert "the probes are not armed: the weights are" in (site.folder / "other.log").read_text()
