"""A gateway's own copy of its snapshot: what it starts from while the store is away.

Two files: the snapshot, written when it changed, and beside it when the store was last heard of,
written every few seconds. Each begins with a MAC under a key that comes from the pepper, and is
replaced whole. What does not verify is refused, and told: nobody can add a key to a copy, take a
suspension from it, or make it younger. An older copy in its place is as old as it is.
"""

import hmac
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from service.core.directory import KnownKey, Snapshot
from service.core.moments import Moment, elapsed_s
from service.core.unreadable import UNREADABLE
from service.events.journal.groups import sync_folder
from service.store.snapshot import collector_off

_log = logging.getLogger(__name__)
SAVE_S: Final = 5.0
"""The least time between two writes of either file."""
_VERSION: Final = b"watchgate copy 1\n"
_MAC_BYTES: Final = 32
_KEYS_AT_ONCE: Final = 4096
"""Encoding holds the interpreter's lock: about a millisecond for so many."""
_LENGTH_BYTES: Final = 4
_encoder: Final = msgspec.msgpack.Encoder(enc_hook=dict)  # of an empty MappingProxyType
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """What was known at a moment of when the store was last heard of, and of the screener."""

    at: Moment
    age_s: float = 0.0
    """Since the store was last heard of."""
    screener_silent_s: float | None = None
    """How long the screener had been silent when the store was last heard of; None: ever."""
    screener_beat_at: float = 0.0
    """The time that its last sign of life bears, in Unix seconds of its own clock."""
    screener_lag_s: float = 0.0
    """How far behind that says it was."""

    def aged(self, now: Moment) -> "Heard":
        """Return it as of a later moment."""
        return msgspec.structs.replace(self, at=now, age_s=self.age_s + elapsed_s(self.at, now))


class _Stamp(msgspec.Struct, frozen=True, array_like=True):
    """When the store was last heard of to say what a copy says."""

    copy: bytes
    """Its MAC."""
    heard: Heard


@dataclass(frozen=True, slots=True)
class Kept:
    """What a copy holds, as of now."""

    snapshot: Snapshot
    heard: Heard


class _RefusedError(Exception):
    """Why a file is not used."""


class LocalCopy:
    """The copy of one gateway process, in files of its own."""

    def __init__(self, path: Path, peppers: Sequence[bytes]) -> None:
        """Name the files; nothing is read or written yet.

        They are written under the first pepper, and read under any.
        """
        self._path = path
        self._stamp = path.with_name(path.name + ".heard")
        self._keys = [hmac.digest(it, b"watchgate local copy", "sha256") for it in peppers]
        self._saved: Snapshot | None = None
        self._mac = b""
        self._next_s = 0.0

    def is_there(self) -> bool:
        """Say whether there is one, good or not: then there has been a store."""
        return self._path.exists()

    def save(self, snapshot: Snapshot, heard: Heard) -> None:
        """Keep what a gateway knows, at most every `SAVE_S`: what changed, or else when it heard.

        Raises:
            OSError: it cannot be written.
        """
        if snapshot.revision < 0 or time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + SAVE_S
        if snapshot is not self._saved:
            self._mac = self._write(self._path, b"".join(_frames(snapshot, heard)))
            self._saved = snapshot
        else:
            self._write(self._stamp, _encoder.encode(_Stamp(self._mac, heard)))

    def load(self, now: Moment) -> Kept | None:
        """Return what was kept, aged to now; None, with a warning, if it is not to be trusted."""
        try:
            mac, payload = self._read(self._path)
            with collector_off():
                snapshot, heard = _content(payload)
        except FileNotFoundError:
            return None
        except (OSError, _RefusedError, *UNREADABLE) as why:
            _log.warning("the local copy of the store is not used: %s", why)
            return None
        self._saved, self._mac = snapshot, mac
        return Kept(snapshot, self._latest(heard).aged(now))

    def _latest(self, heard: Heard) -> Heard:
        """Return what the stamp says, if it is of this copy: it was written later."""
        try:
            stamp = msgspec.msgpack.decode(self._read(self._stamp)[1], type=_Stamp)
        except FileNotFoundError:
            return heard
        except (OSError, _RefusedError, *UNREADABLE) as why:
            _log.warning("the local copy counts as older than it may be: %s", why)
            return heard
        return stamp.heard if hmac.compare_digest(stamp.copy, self._mac) else heard

    def _macs_of(self, path: Path, payload: bytes) -> Iterator[bytes]:
        for key in self._keys:
            mac = hmac.new(key, _VERSION + path.suffix.encode() + b"\n", "sha256")
            mac.update(payload)
            yield mac.digest()

    def _write(self, path: Path, payload: bytes) -> bytes:
        mac = next(self._macs_of(path, payload))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines((_VERSION, mac, payload))
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
        sync_folder(path.parent)
        return mac

    def _read(self, path: Path) -> tuple[bytes, bytes]:
        data = path.read_bytes()
        version, data = data[: len(_VERSION)], data[len(_VERSION) :]
        if version != _VERSION:
            raise _RefusedError(f"{path.name} is of another version, or none of ours")
        mac, payload = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, it) for it in self._macs_of(path, payload)):
            raise _RefusedError(f"{path.name} was changed, or made under another pepper")
        return mac, payload


def this_moment() -> Moment:
    """Read the clocks."""
    boot = ""
    with suppress(OSError):
        boot = _BOOT_ID.read_text().strip()
    return Moment(time.time(), boot, time.clock_gettime(time.CLOCK_BOOTTIME))


def _frames(snapshot: Snapshot, heard: Heard) -> Iterator[bytes]:
    """Yield the parts of a payload: each its length, and what it holds."""

    def frame(value: object) -> bytes:
        encoded = _encoder.encode(value)
        return len(encoded).to_bytes(_LENGTH_BYTES) + encoded

    yield frame(heard)
    yield frame(replace(snapshot, keys={}))
    keys = iter(snapshot.keys.items())
    while batch := dict(islice(keys, _KEYS_AT_ONCE)):
        yield frame(batch)


def _content(payload: bytes) -> tuple[Snapshot, Heard]:
    def frames() -> Iterator[memoryview]:
        rest = memoryview(payload)
        while rest:
            size = int.from_bytes(rest[:_LENGTH_BYTES])
            yield rest[_LENGTH_BYTES : _LENGTH_BYTES + size]
            rest = rest[_LENGTH_BYTES + size :]

    first, second, *others = frames()
    decode = msgspec.msgpack.decode
    heard, snapshot = decode(first, type=Heard), decode(second, type=Snapshot)
    keys: dict[bytes, KnownKey] = {}
    for frame in others:
        keys |= decode(frame, type=dict[bytes, KnownKey])
    return replace(snapshot, keys=keys), heard
