"""A whole gateway in the test's own event loop: real server, journal and store, scripted upstream.

async with gateway_before(script, folder=tmp_path) as gateway:
    reply = await gateway.post(CHAT, {"model": "m", "messages": [...]})
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import uvicorn
import yaml
from prometheus_client.samples import Sample

from service.core.callers import digest_key, make_key
from service.core.surfaces.answers import Answer as RecordedAnswer
from service.errors import EventLogError
from service.events.journal import Journal, Pending, read_topic
from service.events.log import Received, Topic
from service.events.schema import AnyEvent, Closed, Opened, to_event
from service.gateway.evidence import Evidence
from service.gateway.pipeline import Pipeline
from service.gateway.server import listening_socket
from service.settings import Settings, load
from service.store import Store, load_pepper, open_store
from service.store.heartbeats import beat
from service.store.keys import StoredKey, add_key, revoke_key
from service.wiring.detectors import SHIPPED, Detectors
from service.wiring.gateway import Gateway, gateway_of, server_of
from tests.real_parts.scripted import DEADLINE_S, Peer, Script, ScriptedUpstream, eventually

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
KEY: Final = make_key(b"k" * 32)
KEY_ID: Final = "key_of_tests"
MODEL: Final = "watched"
UPSTREAM_MODEL: Final = "org/behind"

Fields = Iterable[tuple[str, str | bytes]]


@dataclass
class Reply:
    """An answer of the gateway."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  (whatever JSON holds)
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error object that has the contract's shape."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str), error
        assert error["message"]
        return str(error["code"])


class Connection:
    """A caller's connection, of which the test writes and reads the bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._chunked = False

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of an answer."""
        async with asyncio.timeout(DEADLINE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        self._chunked = headers.get("transfer-encoding") == "chunked"
        return int(first.split()[1]), headers

    async def part(self) -> bytes:
        """Return the next chunk of a chunked body; empty at its end."""
        async with asyncio.timeout(DEADLINE_S):
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            return (await self._reader.readexactly(size + 2))[:-2]

    async def reply(self) -> Reply:
        """Return a whole answer."""
        return await self.body(*await self.head())

    async def body(self, status: int, headers: dict[str, str]) -> Reply:
        """Return the answer whose head was read."""
        if not self._chunked:
            async with asyncio.timeout(DEADLINE_S):
                body = await self._reader.readexactly(int(headers["content-length"]))
            return Reply(status, headers, body)
        parts = []
        while part := await self.part():
            parts.append(part)
        return Reply(status, headers, b"".join(parts))

    async def nothing_for(self, seconds: float) -> bool:
        """Say whether no byte comes for a while."""
        try:
            async with asyncio.timeout(seconds):
                return not await self._reader.read(1)
        except TimeoutError:
            return True

    async def is_closed(self) -> bool:
        """Wait until the gateway has closed the connection, and say whether nothing came."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return not await self._reader.read()
            except ConnectionResetError:
                return True

    def close(self) -> None:
        self._writer.transport.abort()


@dataclass
class RunningGateway:
    """The gateway under test."""

    settings: Settings
    parts: Gateway
    port: int
    server: uvicorn.Server
    upstream: ScriptedUpstream
    open_connections: list[Connection] = field(default_factory=list)

    @property
    def pipeline(self) -> Pipeline:
        return self.parts.app._pipeline

    @property
    def evidence(self) -> Evidence:
        return self.pipeline.recorder.evidence

    async def connect(self) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**26))
        self.open_connections.append(connection)
        return connection

    async def begin(
        self,
        path: str,
        body: object = b"",
        *,
        headers: Fields = (),
        key: str | None = KEY,
        method: str = "POST",
    ) -> Connection:
        """Send a request on a new connection."""
        connection = await self.connect()
        await connection.send(rendered(path, body, headers=headers, key=key, method=method))
        return connection

    async def post(
        self, path: str, body: object, *, headers: Fields = (), key: str | None = KEY
    ) -> Reply:
        connection = await self.begin(path, body, headers=headers, key=key)
        reply = await connection.reply()
        connection.close()
        return reply

    async def get(self, path: str, *, headers: Fields = (), method: str = "GET") -> Reply:
        connection = await self.begin(path, headers=headers, method=method)
        reply = await connection.reply()
        connection.close()
        return reply

    async def events(self, count: int) -> list[tuple[AnyEvent, bytes]]:
        """Return the exchanges' events with their contents, once there are so many."""
        await eventually(lambda: len(self._received()) >= count)
        received = self._received()
        assert len(received) == count
        return [(to_event(one.record), one.record.content or b"") for one in received]

    async def exchange(self) -> "RecordedExchange":
        """Return the one exchange that was recorded."""
        (opened, prompt), (closed, answer) = await self.events(2)
        assert isinstance(opened, Opened)
        assert isinstance(closed, Closed)
        return RecordedExchange(
            opened, prompt, closed, msgspec.json.decode(answer, type=RecordedAnswer)
        )

    def kinds(self) -> list[str]:
        """Return what is in the journal so far."""
        return [one.record.kind for one in self._received()]

    def closed(self) -> list[Closed]:
        """Return the ends that are in the journal so far."""
        events = [to_event(one.record) for one in self._received()]
        return [event for event in events if isinstance(event, Closed)]

    def _received(self) -> list[Received]:
        return list(read_topic(self.settings.data_dir / "journal", Topic.EXCHANGES))

    def samples(self) -> list[Sample]:
        """Return all metrics as they are now."""
        self.pipeline.meters.flush()
        return [s for family in self.parts.registry.collect() for s in family.samples]

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's series that have these labels."""
        return sum(
            sample.value
            for sample in self.samples()
            if sample.name == "watchgate_" + name and labels.items() <= sample.labels.items()
        )

    def outcomes(self) -> dict[str, int]:
        """Return how many requests ended how."""
        counts: dict[str, int] = {}
        for sample in self.samples():
            if sample.name == "watchgate_requests_total" and sample.value:
                outcome = sample.labels["outcome"]
                counts[outcome] = counts.get(outcome, 0) + int(sample.value)
        return counts

    def revoke_key(self) -> None:
        with opened(self.settings) as store, store.begin() as connection:
            revoke_key(connection, KEY_ID, time.time())


@dataclass
class RecordedExchange:
    """What the journal holds of an exchange."""

    opened: Opened
    prompt: bytes
    closed: Closed
    answer: RecordedAnswer


class Gate:
    """Stands before the real journal and lets records in only when the test says so."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._journal = gateway.evidence.journal
        self._evidence = gateway.evidence
        self._held: list[Pending] = []
        self._errors: dict[str, EventLogError] = {}
        gateway.evidence.attach(cast("Journal", self))

    def check_room(self, size_bytes: int, *, ends: bool) -> None:
        self._journal.check_room(size_bytes, ends=ends)

    def put(self, pendings: Sequence[Pending], _size_bytes: int) -> None:
        for pending in pendings:
            pending.error = self._errors.get(pending.record.kind)
        refused = [pending for pending in pendings if pending.error is not None]
        if refused:
            self._evidence.announce(refused)
        self._held += [pending for pending in pendings if pending.error is None]

    def refuse(self, kind: str, error: EventLogError) -> None:
        """Let records of a kind fail from now on."""
        self._errors[kind] = error

    def refuse_nothing(self) -> None:
        """Let all of them in again."""
        self._errors.clear()

    def has_room(self) -> bool:
        return not self._errors

    async def holds(self, *kinds: str) -> None:
        """Wait until these records, and no others, wait before the gate."""
        await eventually(lambda: [p.record.kind for p in self._held] == list(kinds))

    def let_in(self) -> None:
        """Let in what waits."""
        held, self._held = self._held, []
        self._journal.put(held, sum(one.record.size_bytes for one in held))

    async def stay_open(self) -> None:
        """Let in whatever comes, until cancelled."""
        while True:
            self.let_in()
            await asyncio.sleep(0.002)


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """Open the store of the settings for a while."""
    with closing(open_store(settings.store.url)) as store:
        yield store


def screener_beats(settings: Settings) -> None:
    """Give a screener's sign of life, which counts for a minute."""
    with opened(settings) as store, store.begin() as connection:
        beat(connection, "screener", time.time(), 0.0)


def rendered(
    path: str,
    body: object = b"",
    *,
    headers: Fields = (),
    key: str | None = KEY,
    method: str = "POST",
) -> bytes:
    """Return a request's bytes; a body that is no bytes is written as JSON."""
    data = body if isinstance(body, bytes) else compact(body)
    lines = [f"{method} {path} HTTP/1.1".encode(), b"host: gateway"]
    if key is not None:
        lines.append(b"authorization: Bearer " + key.encode())
    for name, value in headers:
        lines.append(
            name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
        )
    if not any(name in {"content-length", "transfer-encoding"} for name, _ in headers):
        lines.append(b"content-length: %d" % len(data))
    return b"\r\n".join([*lines, b"", data])


def chat(text: str = "Hello", **fields: object) -> dict[str, object]:
    """Return a chat request's body."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def answer_of(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole answer of an upstream, as vLLM writes JSON."""
    data = body if isinstance(body, bytes) else compact(body)
    fields = {"content-type": "application/json", **(headers or {})}
    lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode() + data


def compact(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def chat_body(text: str = "Hi there", **more: object) -> dict[str, object]:
    """Return a chat answer as vLLM gives it."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 5, "total_tokens": 8, "completion_tokens": 3}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": UPSTREAM_MODEL,
            "choices": [choice], "usage": usage, **more}  # fmt: skip


STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
STREAM_END: Final = b"0\r\n\r\n"
DONE: Final = b"data: [DONE]\n\n"


def framed(data: bytes) -> bytes:
    """Return bytes as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(body: object) -> bytes:
    return b"data: " + compact(body) + b"\n\n"


def chat_event(text: str | None, model: str = UPSTREAM_MODEL, **more: object) -> bytes:
    delta = {} if text is None else {"content": text}
    finish = "stop" if text is None else None
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model,
                  "choices": [choice], **more})  # fmt: skip


def usage_event(model: str = UPSTREAM_MODEL) -> bytes:
    usage = {"prompt_tokens": 5, "total_tokens": 8, "completion_tokens": 3}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model,
                  "choices": [], "usage": usage})  # fmt: skip


def streaming(*parts: bytes) -> Script:
    """Answer each request with these events, each in a chunk of its own."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(STREAM_HEAD)
            for part in parts:
                await peer.send(framed(part))
            await peer.send(STREAM_END)

    return script


@asynccontextmanager
async def gateway_before(
    *scripts: Script,
    folder: Path,
    tier: int = 0,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    prepare: Callable[[Settings], None] = lambda _: None,
    detectors: Detectors = SHIPPED,
) -> AsyncIterator[RunningGateway]:
    """Run a gateway before an upstream that plays the scripts; `change` edits its settings."""
    async with ScriptedUpstream(*scripts) as upstream:
        settings = settings_in(folder, upstream.port, tier, change)
        add_key_of_tests(settings)
        prepare(settings)
        async with running(settings, upstream, detectors) as gateway:
            yield gateway


@asynccontextmanager
async def running(
    settings: Settings, upstream: ScriptedUpstream, detectors: Detectors = SHIPPED
) -> AsyncIterator[RunningGateway]:
    """Run a gateway with what there is by these settings, be it much or little."""
    async with (
        gateway_of(settings, detectors) as parts,
        _served(settings, parts) as (port, server),
    ):
        gateway = RunningGateway(settings, parts, port, server, upstream)
        yield gateway
        for connection in gateway.open_connections:
            connection.close()


@asynccontextmanager
async def _served(settings: Settings, parts: Gateway) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    server = server_of(settings, parts)
    listener = listening_socket("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await eventually(lambda: server.started or serving.done())
        yield port, server
    finally:
        server.should_exit = True
        async with asyncio.timeout(DEADLINE_S):
            await serving


def settings_in(
    folder: Path, upstream_port: int, tier: int, change: Callable[[dict[str, Any]], None]
) -> Settings:
    """Write watchgate.yaml into a folder and read it."""
    written: dict[str, Any] = {
        "data_dir": str(folder / "data"),
        "gateway": {"drain_s": 1},
        "upstreams": [
            {
                "name": "local",
                "url": f"http://127.0.0.1:{upstream_port}",
                "health_interval_s": 0,  # the scripts expect what the test sends, and nothing else
            }
        ],
        "models": [
            {"name": MODEL, "upstream": "local", "upstream_model": UPSTREAM_MODEL, "tier": tier}
        ],
        "journal": {"reserve_bytes": 2**20, "segment_bytes": 2**20},
        "store": {"url": f"sqlite:///{folder / 'watchgate.db'}", "poll_s": 0.05},
    }
    change(written)
    path = folder / "watchgate.yaml"
    path.write_text(yaml.safe_dump(written))
    return load(path)


def add_key_of_tests(settings: Settings) -> None:
    """Keep `KEY` in the store of the settings."""
    pepper = load_pepper(settings.data_dir, None)
    with opened(settings) as store, store.begin() as connection:
        key = StoredKey(KEY_ID, "project", KEY[:12], time.time(), "tests")
        add_key(connection, key, digest_key(pepper, KEY))
