"""Plugins of other machines: who is let in, who is told, and what a bad neighbour changes.

Both ends are the real ones; certificates are made by openssl.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from service.core.probed import Probed, Reading
from service.errors import CannotListen
from service.gateway.probe_link import ProbeLink
from service.settings import ProbeListener, Probes
from service.wiring.probes import door_of
from tests.integration.test_probe_link import BOOT, EXCHANGE, HELLO, Counts, prompt_of
from tests.real_parts.certificates import Authority, Certificate
from tests.real_parts.gateway import CHAT, MODEL, answer_of, chat, chat_body, gateway_before
from tests.real_parts.kafka_broker import free_port
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, answering, eventually
from vllm_probe.addresses import Addresses, Certificates, gateways_of
from vllm_probe.sender import Sender
from vllm_probe.wire import VERSION, Hello, framed

ROOT: Final = Path(__file__).resolve().parents[2]
OTHER_BOOT: Final = "fedcba9876543210"
OTHER_EXCHANGE: Final = f"ex-{OTHER_BOOT}00000001"
NAME: Final = "gateways.test"


@dataclass(frozen=True, slots=True)
class Pki:
    """An operator's certificates, and those of somebody else."""

    ours: Authority
    theirs: Authority
    gateway: Certificate
    plugin: Certificate
    other_plugin: Certificate

    def listen(self, port: int, shown: Certificate | None = None) -> ProbeListener:
        shown = shown or self.gateway
        return ProbeListener(
            host="127.0.0.1",
            port=port,
            cert_file=shown.certificate,
            key_file=shown.key,
            ca_file=self.ours.own.certificate,
        )

    def plugin_files(self, shown: Certificate | None = None) -> Certificates:
        shown = shown or self.plugin
        return Certificates(shown.certificate, shown.key, self.ours.own.certificate)

    def client(self, shown: Certificate | None) -> ssl.SSLContext:
        """Return what a program that is no plugin connects with."""
        context = ssl.create_default_context(cafile=str(self.ours.own.certificate))
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        return context


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    ours, theirs = Authority(folder / "ours"), Authority(folder / "theirs")
    return Pki(
        ours,
        theirs,
        ours.sign("gateway", "serverAuth", "IP:127.0.0.1", f"DNS:{NAME}"),
        ours.sign("plugin", "clientAuth"),
        theirs.sign("plugin", "clientAuth"),
    )


@contextmanager
def plugin(gateways: str, files: Certificates, hello: Hello = HELLO) -> Iterator[Sender]:
    with Sender(Addresses(gateways_of(gateways), files), hello) as sender:
        yield sender


@dataclass(frozen=True, slots=True)
class Listening:
    """A gateway's end."""

    link: ProbeLink
    counted: Counts
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def has(self, exchange: str = EXCHANGE) -> bool:
        found = self.link.probed(exchange)
        return found is not None and found.prompt is not None


@asynccontextmanager
async def listening(
    listen: ProbeListener, boot: str = BOOT, exchange: str = EXCHANGE
) -> AsyncIterator[Listening]:
    counts = Counts()
    link = ProbeLink(door_of(Probes(listen=listen), "probes"), boot, None, counts.tallies)
    async with link.listening():
        link.expect(exchange)
        yield Listening(link, counts, listen.port)


@on_uvloop
async def test_readings_of_another_machine_reach_the_end_of_their_exchange(
    tmp_path: Path, pki: Pki
) -> None:
    listen = pki.listen(free_port())
    may_answer = asyncio.Event()

    def with_probes(written: dict[str, Any]) -> None:
        written["upstreams"][0]["probes"] = {"listen": listen.model_dump(mode="json")}

    async def script(peer: Peer) -> None:
        await peer.request()
        await may_answer.wait()
        await peer.send(answer_of(chat_body()))

    async with gateway_before(script, folder=tmp_path, change=with_probes) as gateway:
        with plugin(f"127.0.0.1:{listen.port}", pki.plugin_files()) as sender:
            await eventually(lambda: gateway.metric("probe_engines") == 1)
            connection = await gateway.begin(CHAT, chat())
            await eventually(lambda: len(gateway.upstream.requests) == 1)
            exchange = f"ex-{gateway.pipeline.ids.boot}00000001"
            sender.tell([prompt_of(f"chatcmpl-{exchange}-1a2b3c4d")])
            await eventually(lambda: gateway.metric("probe_updates_total", outcome="taken") == 1)
            may_answer.set()
            assert (await connection.reply()).status == 200
        closed = (await gateway.exchange()).closed
        assert closed.exchange_id == exchange
        assert closed.probed == Probed("d1", ("any", "cyber"), Reading(12, 12, (0.5, -1.0)))


Speak = Callable[[Pki, int], object]


def _tls(context: ssl.SSLContext, port: int, said: bytes) -> None:
    with (
        contextlib.suppress(OSError),  # refusals come as alerts, or as resets
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(said)
        while connection.recv(1024):
            pass


def _plain(port: int, said: bytes) -> None:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(said)
        if said:
            assert not connection.recv(1024)


def _by_tls_1_2(pki: Pki, port: int) -> None:
    context = pki.client(pki.plugin)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _tls(context, port, framed(HELLO))


def _past_its_own_tls(pki: Pki, port: int) -> None:
    """Say who speaks, and then something that no key has made."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        pki.client(pki.plugin).wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(framed(HELLO))
        os.write(connection.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
        while connection.recv(1024):
            pass


WHOLE: Final = framed(HELLO) + framed([prompt_of()])
REFUSED: Final[dict[str, tuple[str, Speak]]] = {
    "no certificate": ("tls", lambda pki, port: _tls(pki.client(None), port, WHOLE)),
    "another CA's": ("tls", lambda pki, port: _tls(pki.client(pki.other_plugin), port, WHOLE)),
    "a gateway's": ("tls", lambda pki, port: _tls(pki.client(pki.gateway), port, WHOLE)),
    "older TLS": ("tls", _by_tls_1_2),
    "plain text": ("tls", lambda _, port: _plain(port, b"GET / HTTP/1.1\r\n\r\n")),
    "frames without TLS": ("tls", lambda _, port: _plain(port, WHOLE)),
    "another's words": ("tls", _past_its_own_tls),
    "a port scanner": ("tls", lambda _, port: _plain(port, b"")),
    "nonsense": ("garbage", lambda pki, port: _tls(pki.client(pki.plugin), port, b"GET / HTTP")),
}


@pytest.mark.parametrize("who", REFUSED)
@on_uvloop
async def test_who_is_not_let_in_is_counted_and_disturbs_no_plugin(pki: Pki, who: str) -> None:
    reason, speak = REFUSED[who]
    async with listening(pki.listen(free_port())) as one:
        with plugin(one.address, pki.plugin_files()) as sender:
            await eventually(lambda: one.link.engines == 1)
            await asyncio.to_thread(speak, pki, one.port)
            await eventually(lambda: one.counted.counted[reason] == 1)
            assert not one.has()
            sender.tell([prompt_of()])
            await eventually(one.has)
            assert one.link.engines == 1
    assert +one.counted.counted == {reason: 1, "taken": 1}


@pytest.mark.parametrize("shown", [True, False], ids=["after its certificate", "from the start"])
@on_uvloop
async def test_one_that_says_nothing_is_gone_in_time(pki: Pki, *, shown: bool) -> None:
    tls = pki.client(pki.plugin) if shown else None
    async with listening(pki.listen(free_port())) as one:
        with plugin(one.address, pki.plugin_files()):
            await eventually(lambda: one.link.engines == 1)
            _, writer = await asyncio.open_connection("127.0.0.1", one.port, ssl=tls)
            await eventually(lambda: one.counted.counted["silent"] == 1, deadline_s=10)
            assert one.link.engines == 1
            writer.transport.abort()


@on_uvloop
async def test_many_that_say_nothing_keep_no_plugin_from_telling(pki: Pki) -> None:
    async with listening(pki.listen(free_port())) as one:
        with plugin(one.address, pki.plugin_files()) as sender, contextlib.ExitStack() as stack:
            await eventually(lambda: one.link.engines == 1)
            for _ in range(40):  # more than are looked at together
                stack.enter_context(socket.create_connection(("127.0.0.1", one.port), timeout=10))
            sender.tell([prompt_of()])
            await eventually(one.has)
            with plugin(one.address, pki.plugin_files()):
                await eventually(lambda: one.link.engines == 2, deadline_s=40)


@on_uvloop
async def test_a_gateway_that_is_started_again_is_found_again(pki: Pki) -> None:
    listen = pki.listen(free_port())
    with plugin(f"127.0.0.1:{listen.port}", pki.plugin_files()) as sender:
        async with listening(listen) as first:
            await eventually(lambda: first.link.engines == 1)
        async with listening(listen, OTHER_BOOT, OTHER_EXCHANGE) as second:
            await eventually(lambda: second.link.engines == 1)
            sender.tell([prompt_of(OTHER_EXCHANGE)])
            await eventually(lambda: second.has(OTHER_EXCHANGE))


def another_name(pki: Pki) -> Certificate:
    return pki.ours.sign("other-name", "serverAuth", "DNS:elsewhere.test")


def another_authority(pki: Pki) -> Certificate:
    return pki.theirs.sign("gateway", "serverAuth", "IP:127.0.0.1")


def a_plugins_own(pki: Pki) -> Certificate:
    return pki.ours.sign("pretender", "clientAuth", "IP:127.0.0.1")


@pytest.mark.parametrize("shown", [another_name, another_authority, a_plugins_own])
@on_uvloop
async def test_who_shows_not_the_gateways_certificate_is_told_nothing(
    pki: Pki, shown: Callable[[Pki], Certificate]
) -> None:
    async with listening(pki.listen(free_port(), shown(pki))) as one:
        with plugin(one.address, pki.plugin_files()) as sender:
            await eventually(lambda: one.counted.counted["tls"] == 1)
            sender.tell([prompt_of()])
            await eventually(lambda: sender.lost == 1)
    assert +one.counted.counted == {"tls": 1}


@on_uvloop
async def test_a_certificate_that_is_replaced_is_taken_without_a_restart(
    tmp_path: Path, pki: Pki
) -> None:
    files = Certificates(tmp_path / "cert", tmp_path / "key", pki.ours.own.certificate)
    async with listening(pki.listen(free_port())) as one:
        with plugin(one.address, files) as sender:
            sender.tell([prompt_of()])
            await eventually(lambda: sender.lost == 1)  # there are no files yet: it goes on
            files.cert.write_bytes(pki.plugin.certificate.read_bytes())
            files.key.write_bytes(pki.plugin.key.read_bytes())
            await eventually(lambda: one.link.engines == 1)
            sender.tell([prompt_of()])
            await eventually(one.has)


def test_a_gateway_says_which_files_it_cannot_listen_with(tmp_path: Path, pki: Pki) -> None:
    listen = pki.listen(free_port())
    for name in ("cert_file", "key_file", "ca_file"):
        wrong = listen.model_copy(update={name: tmp_path / "none"})
        told = rf"^upstreams\[0\]\.probes\.listen: No such file or directory: .*{tmp_path}/none"
        with pytest.raises(CannotListen, match=told):
            door_of(Probes(listen=wrong), "upstreams[0].probes")


@on_uvloop
async def test_the_documents_certificates_do_with_what_later_pythons_ask_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow_the_document(tmp_path)
    ca = tmp_path / "ca.crt"
    listen = ProbeListener(
        host="127.0.0.1",
        port=free_port(),
        cert_file=tmp_path / "gateway.crt",
        key_file=tmp_path / "gateway.key",
        ca_file=ca,
    )
    files = Certificates(tmp_path / "plugin.crt", tmp_path / "plugin.key", ca)
    default = ssl.create_default_context

    def strict(**given: Any) -> ssl.SSLContext:  # noqa: ANN401  (as Python's own)
        context = default(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
        return context

    with monkeypatch.context() as patch:
        patch.setattr(ssl, "create_default_context", strict)
        patch.setattr(socket, "getaddrinfo", lambda _, port, **__: [at_home(port)])
        async with listening(listen) as one:
            with plugin(f"gateways.example.org:{listen.port}", files):
                await eventually(lambda: one.link.engines == 1)


def follow_the_document(folder: Path) -> None:
    """Make the authority and the certificates by the document's own commands."""
    text = (ROOT / "docs" / "probes.md").read_text()
    commands = text.partition("    ```\n")[2].partition("    ```\n")[0]
    assert "openssl" in commands
    subprocess.run(["bash", "-ec", commands], cwd=folder, check=True, capture_output=True)


def at_home(port: int) -> tuple[object, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))


@contextmanager
def dead_address() -> Iterator[str]:
    """Yield an address where connections are taken and nobody ever says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def goes_on_for_longer_than_the_silent_may(one: Listening, sender: Sender) -> None:
    for number in range(60):
        exchange = f"ex-{BOOT}{number + 2:08x}"
        one.link.expect(exchange)
        sender.tell([prompt_of(exchange)])
        await eventually(functools.partial(one.has, exchange), deadline_s=3)
        await asyncio.sleep(0.1)
    assert +one.counted.counted == {"taken": 60}


@on_uvloop
async def test_dead_addresses_keep_a_living_gateway_from_nothing_for_long(pki: Pki) -> None:
    async with listening(pki.listen(free_port())) as one:
        with contextlib.ExitStack() as stack:
            dead = [stack.enter_context(dead_address()) for _ in range(3)]
            with plugin(",".join([*dead, one.address]), pki.plugin_files()) as sender:
                await eventually(lambda: one.link.engines == 1)
                await goes_on_for_longer_than_the_silent_may(one, sender)


@on_uvloop
async def test_a_dead_name_server_keeps_known_gateways_from_nothing(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended = threading.Event()
    first = itertools.count()

    def look_up(_: str, port: int, **__: object) -> list[tuple[object, ...]]:
        if next(first):
            mended.wait()
        return [at_home(port)]

    async with listening(pki.listen(free_port())) as one:
        with monkeypatch.context() as patch, plugin(one.address, pki.plugin_files()) as sender:
            patch.setattr(socket, "getaddrinfo", look_up)
            try:
                await eventually(lambda: one.link.engines == 1)
                await goes_on_for_longer_than_the_silent_may(one, sender)
            finally:
                mended.set()


@on_uvloop
async def test_a_name_of_several_gateways_is_all_of_them_and_each_is_met_once(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    known = ["127.0.0.1"]

    def addresses(_host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (it, port)) for it in known]

    first = pki.listen(port)
    second = first.model_copy(update={"host": "127.0.0.2"})
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", addresses)
        async with (
            listening(first) as one,
            listening(second, OTHER_BOOT, OTHER_EXCHANGE) as other,
        ):
            with plugin(f"{NAME}:{port},127.0.0.1:{port}", pki.plugin_files()) as sender:
                await eventually(lambda: one.link.engines == 1)
                known.append("127.0.0.2")  # a pod more
                await eventually(lambda: other.link.engines == 1)
                sender.tell([prompt_of(), prompt_of(OTHER_EXCHANGE)])
                await eventually(lambda: one.has() and other.has(OTHER_EXCHANGE))
                assert one.link.engines == other.link.engines == 1
    assert +one.counted.counted == +other.counted.counted == {"taken": 1}


@on_uvloop
async def test_probes_of_another_version_are_refused_by_the_gateway_who_counts_it(
    pki: Pki,
) -> None:
    newer = Hello(VERSION + 1, "d1", "w1", ("any",))
    async with listening(pki.listen(free_port())) as one:
        with plugin(one.address, pki.plugin_files(), newer):
            await eventually(lambda: one.counted.counted["version"] > 0)
        assert one.link.engines == 0


@on_uvloop
async def test_the_safeguard_knows_that_a_plugin_of_another_machine_has_gone(
    tmp_path: Path, pki: Pki
) -> None:
    listen = pki.listen(free_port())

    def with_probes(written: dict[str, Any]) -> None:
        probes = {"listen": listen.model_dump(mode="json"), "required": True}
        written["upstreams"][0]["probes"] = probes
        written["store"]["poll_s"] = 1.0

    answers = answering(answer_of(chat_body()))
    async with gateway_before(answers, folder=tmp_path, change=with_probes) as gateway:

        def is_active() -> bool:
            return bool(gateway.metric("safeguard_active", model=MODEL, safeguard="probes"))

        assert (await gateway.post(CHAT, chat())).status == 503
        with plugin(f"127.0.0.1:{listen.port}", pki.plugin_files()):
            await eventually(is_active, deadline_s=10)
            assert (await gateway.post(CHAT, chat())).status == 200
        await eventually(lambda: not is_active(), deadline_s=10)
        assert (await gateway.post(CHAT, chat())).status == 503
