"""No room for evidence: nothing is served unwatched, and all is well again once there is room."""

import select
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from service.events.log import Topic
from service.events.schema import Closed, to_event
from tests.e2e.evidence import CATCH_UP_S, assert_counted_alike, screened
from tests.e2e.traffic import error_code, request
from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.serving import RawClient
from tests.real_parts.stalled_disk import StalledDisk
from tests.real_parts.watchgate import Watchgate

MIB = 2**20
DISK_MIB = 48
REFUSED_S = 30.0
RECOVERED_S = 60.0
JOURNAL = {
    "segment_bytes": 4 * MIB,
    "max_bytes": 1024 * MIB,
    "reserve_bytes": 2 * MIB,
    "max_queue_bytes": MIB,
}
QUARTER_MIB = "word " * (MIB // 20)
SLOW = {"name": "slow", "upstream": "local", "upstream_model": "mock-100-50", "tier": 1}
FAST = {"name": "smollm2", "upstream": "local", "tier": 1}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few MiB, which takes root or user namespaces."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size={DISK_MIB}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.fail(
            "filling a disk needs one that is small, and mounting one needs root: run this test "
            "as root, or as `unshare --user --map-root-user --mount python -m pytest …`"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_refuses_new_exchanges_ends_open_ones_and_is_survived(
    mock_vllm: str, small_disk: Path
) -> None:
    watchgate = Watchgate(small_disk / "w", mock_vllm, models=[SLOW, FAST], journal=JOURNAL)
    key = watchgate.create_key("acme")
    with watchgate, RawClient(watchgate.port) as client, RawClient(watchgate.port) as streaming:
        served = [ask(client, key)]
        streaming.send(request(key, "Tell me a story.", model="slow", stream=True))
        head = streaming.read_until(b"data: ").decode()
        fill(small_disk / "filler")

        refused: list[tuple[int, str | None]] = []
        wait_until(lambda: refuses(client, key, served, refused), REFUSED_S, "it is refused")
        assert b"[DONE]" in streaming.read_until(b"[DONE]")
        assert set(refused) == {(503, "safeguard_inactive")}
        wait_until(lambda: not watchgate.ready()["ready"], REFUSED_S, "it says it is not ready")

        (small_disk / "filler").unlink()
        wait_until(lambda: not refuses(client, key, served, []), RECOVERED_S, "it serves again")
        watchgate.wait_ready()
        told = [*served, head.split("x-watchgate-receipt: ")[1].split("\r\n")[0]]
        verdicts = partial(watchgate.topic, Topic.VERDICTS)
        wait_until(lambda: set(told) <= screened(verdicts()), CATCH_UP_S, "all are screened")
        for receipt in told:
            assert_ended_well(watchgate, receipt)
        assert_counted_alike(watchgate, len(told))


def test_a_full_queue_refuses_what_does_not_fit_and_serves_the_rest_when_the_disk_goes_on(
    mock_vllm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchgate = Watchgate(tmp_path / "watchgate", mock_vllm, journal=JOURNAL)
    disk = StalledDisk(tmp_path, watchgate.journals / "gateway-0", monkeypatch)
    key = watchgate.create_key("acme")
    with watchgate, ExitStack() as stack:
        clients = [stack.enter_context(RawClient(watchgate.port)) for _ in range(8)]
        with disk.stalled():
            for client in clients:
                client.send(request(key, QUARTER_MIB))
            wait_until(lambda: answered(clients), REFUSED_S, "what does not fit is refused")
        answers = [client.answer() for client in clients]
        outcomes = {(status, error_code(body)) for status, _, body in answers}
        assert outcomes == {(200, None), (503, "safeguard_inactive")}

        wait_until(lambda: not refuses(clients[-1], key, [], []), RECOVERED_S, "it serves again")
        for status, headers, _ in answers:
            receipt = headers[b"x-watchgate-receipt"].decode()
            if status == 200:
                assert_ended_well(watchgate, receipt)
            else:
                assert watchgate.records(receipt) == []


def ask(client: RawClient, key: str) -> str:
    """Send a request that must be served; return its receipt."""
    served: list[str] = []
    assert not refuses(client, key, served, [])
    return served[0]


def answered(clients: Sequence[RawClient]) -> bool:
    """Say whether any of them has been sent something."""
    return bool(select.select([client.sock for client in clients], [], [], 0)[0])


def refuses(
    client: RawClient, key: str, served: list[str], refused: list[tuple[int, str | None]]
) -> bool:
    """Send a request and say whether it was refused; note what became of it."""
    client.send(request(key, "What is the capital of France?"))
    status, headers, body = client.answer()
    if status == 200:
        served.append(headers[b"x-watchgate-receipt"].decode())
        return False
    refused.append((status, error_code(body)))
    return True


def assert_ended_well(watchgate: Watchgate, receipt: str) -> None:
    """What was served has its record of the end."""
    events = [to_event(one.record) for one in watchgate.records(receipt)]
    assert [e.outcome for e in events if isinstance(e, Closed)] == ["completed"]


def fill(path: Path) -> None:
    """Write until the disk is full, to the last block."""
    with path.open("wb", buffering=0) as file:
        for block in (MIB, 4096):
            with suppress(OSError):  # no space left on device
                while file.write(bytes(block)) == block:
                    pass
