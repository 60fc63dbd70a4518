"""`watchgate doctor` looks at the vLLM behind, at Kafka and at Alertmanagers."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.core.findings import Finding
from service.doctor.inside import inside, replicas_of
from service.doctor.local import listeners_on
from service.doctor.redis import redis_at
from service.doctor.results import asked
from service.doctor.services import alertmanagers, event_log, processes
from service.events.kafka.client import ensure_topics
from service.settings import KafkaLog, Settings
from service.settings.sections import OpsPorts
from service.telemetry.ops import OpsAddress, Reason, make_ops_app, ops_server, serve_in_thread
from service.wiring.parts import kafka_config
from tests.real_parts.alertmanager import alertmanager
from tests.real_parts.certificates import self_signed
from tests.real_parts.debian import debian_program
from tests.real_parts.gateway import settings_in
from tests.real_parts.kafka_broker import KafkaBroker, free_port
from tests.real_parts.serving import until
from tests.real_parts.vllm_like import DEV_POSTS, HOOK_POSTS, LORA_POSTS, VllmLike

STOP_S = 20.0
KEY = "the-key-of-vllm"


def before(folder: Path, url: str, **of_upstream: Any) -> Settings:  # noqa: ANN401  (YAML)
    """Return the settings of a gateway before this vLLM."""

    def change(written: dict[str, Any]) -> None:
        written["upstreams"][0] |= {"url": url, **of_upstream}

    return settings_in(folder, 1, 0, change)


async def looked_at(
    folder: Path,
    vllm: VllmLike,
    **of_upstream: Any,  # noqa: ANN401  (YAML)
) -> dict[str, Finding]:
    [replica] = replicas_of(before(folder, vllm.url, **of_upstream))
    results = await asked(replica.group, inside(replica, tries=False))
    return {result.name: result.finding for result in results}


def problems(found: dict[str, Finding]) -> set[str]:
    assert "check" not in found, found["check"]
    return {name for name, finding in found.items() if finding.status == "problem"}


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_vllm_as_it_should_be_is_well(tmp_path: Path, key: str | None) -> None:
    with VllmLike(key=key) as vllm:
        found = await looked_at(tmp_path, vllm, **({"api_key": key} if key else {}))
    assert {finding.status for finding in found.values()} == {"ok"}
    assert found["version"].found == "vLLM 0.32.0"
    assert "loopback alone" in found["reach"].found
    assert {method for method, _ in vllm.asked} <= {"GET", "HEAD", "OPTIONS"}
    assert vllm.bodies == 0


@pytest.mark.parametrize("key", [None, KEY])
async def test_development_routes_are_found_behind_the_key_too(
    tmp_path: Path, key: str | None
) -> None:
    of_upstream = {"api_key": key} if key else {}
    with VllmLike(key=key, dev_mode=True, posts=LORA_POSTS | HOOK_POSTS) as vllm:
        found = await looked_at(tmp_path, vllm, **of_upstream)
    assert problems(found) == {"dev mode", "adapters at run time", "hooks of vllm-lens"}
    for path in DEV_POSTS | {"/server_info"}:
        assert path in found["dev mode"].found
    assert "VLLM_SERVER_DEV_MODE" in found["dev mode"].to_do


async def test_a_profiler_is_found(tmp_path: Path) -> None:
    with VllmLike(posts=frozenset({"/start_profile"})) as vllm:
        assert problems(await looked_at(tmp_path, vllm)) == {"profiler"}


async def test_a_model_that_vllm_does_not_serve_is_named_beside_those_that_it_does(
    tmp_path: Path,
) -> None:
    with VllmLike(models=("other",)) as vllm:
        found = await looked_at(tmp_path, vllm)
    assert problems(found) == {"models"}
    assert "org/behind" in found["models"].found
    assert "other" in found["models"].found


async def test_a_key_that_vllm_refuses_is_a_problem_and_is_not_shown(tmp_path: Path) -> None:
    with VllmLike(key="another") as vllm:
        found = await looked_at(tmp_path, vllm, api_key=KEY)
    assert problems(found) == {"models"}
    assert KEY not in str(found)


async def test_a_vllm_that_asks_nobody_for_the_gateways_key_is_a_problem(tmp_path: Path) -> None:
    with VllmLike() as vllm:
        assert problems(await looked_at(tmp_path, vllm, api_key=KEY)) == {"key"}


async def test_a_vllm_that_listens_for_everybody_is_a_problem(tmp_path: Path) -> None:
    with VllmLike(host="0.0.0.0", key=KEY) as vllm:  # noqa: S104  (what is tested)
        found = await looked_at(tmp_path, vllm, api_key=KEY)
    assert problems(found) == {"reach"}
    assert "0.0.0.0" in found["reach"].found  # noqa: S104  (as above)


async def test_a_vllm_that_is_away_is_a_problem_and_nothing_else_is_asked(tmp_path: Path) -> None:
    [replica] = replicas_of(before(tmp_path, f"http://127.0.0.1:{free_port()}"))
    [result] = await asked(replica.group, inside(replica, tries=False))
    assert (result.name, result.finding.status) == ("answers", "problem")
    assert "refused" in result.finding.found


async def test_clocks_that_are_apart_are_a_problem(tmp_path: Path) -> None:
    with VllmLike(clock_ahead_s=-3600) as vllm:
        found = await looked_at(tmp_path, vllm)
    assert problems(found) == {"clock"}
    assert "its clock is -3" in found["clock"].found


async def test_a_vllm_that_takes_the_gateways_certificate_alone_is_well(tmp_path: Path) -> None:
    made = self_signed(tmp_path, "IP:127.0.0.1")
    context = made.server_context()
    context.load_verify_locations(made.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    cert, key = str(made.certificate), str(made.key)
    with VllmLike(tls=context) as vllm:
        found = await looked_at(tmp_path, vllm, ca_file=cert, cert_file=cert, key_file=key)
    assert {finding.status for finding in found.values()} == {"ok"}
    assert "certificate" in found["key"].found


async def test_the_gateways_key_goes_to_no_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    tls = self_signed(tmp_path, "IP:127.0.0.1").server_context()
    with VllmLike(tls=tls, key=KEY) as vllm:
        found = await looked_at(tmp_path, vllm, api_key=KEY)
        assert vllm.asked == []
    assert problems(found) == {"answers"}


async def test_files_of_certificates_that_are_not_there_end_no_other_check(tmp_path: Path) -> None:
    [replica] = replicas_of(before(tmp_path, "https://127.0.0.1:1", ca_file="none.pem"))
    [result] = await asked(replica.group, inside(replica, tries=False))
    assert result.finding.status == "could-not-check"
    assert "No such file" in result.finding.found


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path / "broker") as started:
        yield started


def over_kafka(folder: Path, address: str) -> Settings:
    def change(written: dict[str, Any]) -> None:
        written["event_log"] = {"kind": "kafka", "bootstrap_servers": [address]}

    return settings_in(folder, 1, 0, change)


def test_kafka_is_asked_for_its_topics_and_none_is_made(
    tmp_path: Path, broker: KafkaBroker
) -> None:
    settings = over_kafka(tmp_path, broker.address)
    for _ in range(2):
        found = dict(event_log(settings))
        assert found["reached"].status == "ok"
        assert found["topics"].status == "problem"
        assert "watchgate.exchanges" in found["topics"].found
    assert isinstance(settings.event_log, KafkaLog)
    ensure_topics(kafka_config(settings.event_log))
    assert dict(event_log(settings))["topics"].status == "ok"


def test_kafka_that_is_away_is_a_problem(tmp_path: Path) -> None:
    settings = over_kafka(tmp_path, f"127.0.0.1:{free_port()}")
    assert {name: it.status for name, it in event_log(settings)} == {"reached": "problem"}


@contextmanager
def running(folder: Path, *reasons: Reason) -> Iterator[Settings]:
    """Serve the ops port of a process that these reasons keep from being ready."""
    server = ops_server(
        make_ops_app(lambda: list(reasons), lambda: b""), OpsAddress("127.0.0.1", 0)
    )
    port = server.listener.getsockname()[1]
    nobody = {role: free_port() for role in OpsPorts.model_fields}

    def change(written: dict[str, Any]) -> None:
        written["ops"] = {"port": port, "ports": nobody}
        written["gateway"]["port"] = free_port()

    thread = serve_in_thread(server)
    try:
        yield settings_in(folder, 1, 0, change)
    finally:
        server.should_exit = True
        thread.join(STOP_S)


async def test_a_process_that_is_not_ready_tells_its_reasons(tmp_path: Path) -> None:
    reasons = [Reason("journal", "the journal is full"), Reason("lag", "late", "m")]
    with running(tmp_path, *reasons) as settings:
        [(_, finding)] = [it async for it in processes(settings)]
    assert finding.status == "problem"
    assert "the journal is full; late" in finding.found


async def test_a_process_that_is_ready_is_well(tmp_path: Path) -> None:
    with running(tmp_path) as settings:
        [(name, finding)] = [it async for it in processes(settings)]
    assert (name, finding.status) == (f"up (ops port {settings.ops.port})", "ok")


async def test_another_program_on_an_ops_port_is_a_problem(tmp_path: Path) -> None:
    with VllmLike() as other, running(tmp_path) as settings:
        taken = settings.ops.model_copy(update={"port": other.port})
        found = [it async for it in processes(settings.model_copy(update={"ops": taken}))]
    assert [finding.found for _, finding in found] == ["something else listens there"]


def with_alertmanager(folder: Path, *urls: str) -> Settings:
    def change(written: dict[str, Any]) -> None:
        written["alerts"] = {"alertmanagers": list(urls)}

    return settings_in(folder, 1, 0, change)


async def test_a_real_alertmanager_answers_and_others_are_named_without_passwords(
    tmp_path: Path,
) -> None:
    with alertmanager(tmp_path / "alertmanager") as (real, _), VllmLike() as other:
        real.start()
        wrong = other.url.replace("//", "//user:secret@")
        settings = with_alertmanager(tmp_path, real.url, wrong)
        found = {name: it async for name, it in alertmanagers(settings)}
    assert {name: it.status for name, it in found.items()} == {
        real.url: "ok",
        other.url: "problem",
    }


@contextmanager
def real_redis(folder: Path) -> Iterator[str]:
    """Run a redis-server that asks for the password "secret"; give its address without it."""
    port, program = free_port(), debian_program("redis-server", "redis-server")
    options = ["--port", str(port), "--requirepass", "secret", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([str(program), *options], stdout=subprocess.DEVNULL)
    try:
        until(lambda: bool(listeners_on(port)))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_a_redis_is_asked_and_its_password_tried(tmp_path: Path) -> None:
    with real_redis(tmp_path) as address:
        assert redis_at(f"redis://:secret@{address}").status == "ok"
        refused = redis_at(f"redis://:wrong@{address}")
        assert "password" in redis_at(f"redis://{address}").found
    assert "refuses the password" in refused.found
    away = redis_at(f"redis://:secret@{address}")
    assert away.status == "problem"
    assert "secret" not in away.found + away.to_do
