"""Where the plugin in vLLM tells what its probes make of this gateway's exchanges.

`probe_doors` says how they come in. Scores of an exchange are kept while it is open.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from detectors import api
from service.core.probed import ANSWER, PROMPT, Probed, Reading, Told
from service.gateway.probe_doors import SILENT_S, Connect, Door, RefusedPlugin
from vllm_probe.wire import LENGTH, MAX_FRAME_BYTES, VERSION, Hello, Update

_log = logging.getLogger(__name__)
_EXCHANGE: Final = re.compile(r"ex-([0-9a-f]{16})[0-9a-f]{8}")
_MOST_ENGINES: Final = 256
_MOST_LOG_ODDS: Final = 1e6
"""Heads add them up in 32 bits; whatever is so sure of itself is broken."""
_QUIET_S: Final = 1.0
"""Of so long one refusal is in the log; all are counted."""
UPDATES: Final = ("taken", "late", "unknown")
REFUSALS: Final = ("version", "digest", "garbage", "silent", "too_many", "tls")
_hello: Final = msgspec.msgpack.Decoder(Hello)
_updates: Final = msgspec.msgpack.Decoder(list[Update])


@dataclass(frozen=True, slots=True)
class LinkTallies:
    """What is counted."""

    updates: Callable[[str, int], object]
    """Readings: "taken", "late" (of an exchange that has ended) or "unknown" (of no exchange)."""
    refused: Callable[[str], object]
    """Connections that were closed, by the reason: one of `REFUSALS`."""
    engines: Callable[[int], object]
    """How many plugins tell now."""


class ProbeLink:
    """Listens for one upstream's plugins. Belongs to one event loop."""

    def __init__(self, door: Door, boot: str, digest: str | None, tallies: LinkTallies) -> None:
        """Know of no exchange; with a `digest` only those probes are listened to."""
        self._door = door
        self._boot = boot
        self._digest = digest
        self._tallies = tallies
        self._open: dict[str, Told] = {}
        self._hearing: set[asyncio.Task[None]] = set()
        self._quiet_until = 0.0
        self.engines = 0
        """How many plugins tell at this moment."""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen meanwhile.

        Raises:
            OSError: the door cannot be opened.
        """
        try:
            async with self._door.opened(self._boot, self._meet):
                yield
        finally:
            for task in self._hearing:
                task.cancel()
            await asyncio.gather(*self._hearing, return_exceptions=True)

    def expect(self, exchange_id: str) -> None:
        """Keep what is told of an exchange from now on."""
        self._open[exchange_id] = Told()

    def probed(self, exchange_id: str) -> Probed | None:
        """Return what was told of an exchange that is open; None: it is not."""
        told = self._open.get(exchange_id)
        return None if told is None else told.probed()

    def grown(self, exchange_id: str) -> api.Reading | None:
        """Return what was told of an open exchange's answers that is enough to cut them off."""
        told = self._open.get(exchange_id)
        return None if told is None else told.grown()

    def forget(self, exchange_id: str) -> None:
        """Keep nothing more of an exchange."""
        self._open.pop(exchange_id, None)

    def _meet(self, connect: Connect) -> None:
        task = asyncio.create_task(self._hear(connect))
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)

    async def _hear(self, connect: Connect) -> None:
        """Take what one plugin tells until it goes, is silent, or says what nobody understands."""
        try:
            async with connect() as reader:
                hello = self._checked(_hello.decode(await _frame(reader)))
                self._count(1)
                _log.info("a plugin tells what the probes %s read", hello.digest)
                try:
                    while True:
                        self._take(hello, _updates.decode(await _frame(reader)))
                finally:
                    self._count(-1)
                    _log.info("a plugin tells no more; %d do", self.engines)
        except RefusedPlugin as error:
            self._refuse(error.reason, str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._refuse("garbage", "what came is not in the plugin's form")
        except TimeoutError:
            self._refuse("silent", f"it was silent for {SILENT_S:g} s")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # it has ended, or this gateway does
        except OSError:
            self._refuse("tls", "what came was not what its certificate's key made")

    def _count(self, more: int) -> None:
        self.engines += more
        self._tallies.engines(self.engines)

    def _checked(self, hello: Hello) -> Hello:
        if hello.version != VERSION:
            told = f"the plugin speaks version {hello.version}, not {VERSION}"
            raise RefusedPlugin("version", told)
        if self._digest is not None and hello.digest != self._digest:
            raise RefusedPlugin("digest", f"the probes are {hello.digest}, not {self._digest}")
        if self.engines >= _MOST_ENGINES:
            raise RefusedPlugin("too_many", f"there are {_MOST_ENGINES} plugins already")
        return hello

    def _refuse(self, reason: str, words: str) -> None:
        self._tallies.refused(reason)
        now = asyncio.get_running_loop().time()
        if now < self._quiet_until:  # strangers may come by the thousand
            return
        self._quiet_until = now + _QUIET_S
        _log.warning("a plugin is not listened to: %s", words, extra={"door": str(self._door)})

    def _take(self, hello: Hello, updates: list[Update]) -> None:
        late = unknown = 0
        for update in updates:
            found = _EXCHANGE.search(update.request)
            if found is None or found[1] != self._boot:
                unknown += 1
                continue
            if (told := self._open.get(found[0])) is None:
                late += 1
                continue
            if not _fits(update, hello):
                raise RefusedPlugin("garbage", "what came does not fit the plugin's own words")
            reading = Reading(update.tokens, update.read, update.scores)
            told.take(hello.digest, hello.categories, update.request, update.part, reading)
        count = self._tallies.updates
        count("taken", len(updates) - late - unknown)
        count("late", late)
        count("unknown", unknown)


def _fits(update: Update, hello: Hello) -> bool:
    return (
        update.part in {PROMPT, ANSWER}
        and 0 <= update.read <= update.tokens
        and len(update.scores) == len(hello.categories)
        and all(abs(it) <= _MOST_LOG_ODDS for it in update.scores)  # which no NaN is
    )


async def _frame(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SILENT_S):
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise RefusedPlugin("garbage", f"a frame of {length} bytes is over the limit")
        return await reader.readexactly(length)
