"""The file of a backup: gzip'd lines of JSON, and at the end a digest that only we could make.

A header; for each table a line that names its columns, then a line for each row; the numbers of
rows; last the HMAC-SHA256 of all lines before it, under a key derived from a pepper. Bytes are
base64, as the column's type says.
"""

import gzip
import hmac
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

import msgspec

from service.core.unreadable import UNREADABLE
from service.errors import BackupError

FORMAT: Final = 1
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_PURPOSE: Final = b"watchgate store backup"
_LEVEL: Final = 6
_DAMAGED: Final = "it is damaged: take another backup"


class LastEntry(msgspec.Struct, frozen=True):
    """Where the audit log ends."""

    seq: int
    mac: bytes


class Header(msgspec.Struct, frozen=True):
    """What a backup is of. Times are Unix seconds."""

    watchgate_backup: int
    """The version of the format."""
    version: str
    """Of Watchgate."""
    schema: str
    made_at: float
    epoch: str
    revision: int
    pepper: str
    """The id of the one that the digest at the end depends on."""
    end_user_secret: bytes
    """With another one each end user would be another account, and none suspended any more."""
    audit: LastEntry | None


class TableHead(msgspec.Struct, frozen=True):
    """Whose rows come next."""

    table: str
    columns: tuple[str, ...]


class End(msgspec.Struct, frozen=True):
    """What came before: the rows of each table."""

    rows: Mapping[str, int]


class LinesOut:
    """Writes lines, and at last their digest."""

    def __init__(self, file: BinaryIO, pepper: bytes, made_at: float) -> None:
        """Write nothing yet."""
        self._file = gzip.GzipFile("", "wb", _LEVEL, file, made_at)
        self._mac = _mac_under(pepper)

    def put(self, *values: Any) -> None:  # noqa: ANN401  (whatever msgspec knows)
        """Write each value as a line."""
        self._write(b"".join(msgspec.json.encode(value) + b"\n" for value in values))

    def end(self) -> str:
        """Write the digest, and return it; the file that the lines went to stays open."""
        digest = self._mac.hexdigest()
        self._file.write(_last_line(digest))
        self._file.close()
        return digest

    def _write(self, data: bytes) -> None:
        self._mac.update(data)
        self._file.write(data)


def read_header(file: BinaryIO) -> Header:
    """Read the first line. Nothing of it is proved before all lines are.

    Raises:
        BackupError: this is no backup, or one of a later format.
    """
    first = next(_lines(file), b"")
    try:
        format_ = msgspec.json.decode(first, type=dict[str, Any]).get("watchgate_backup")
        if format_ == FORMAT:
            return msgspec.json.decode(first, type=Header)
    except UNREADABLE:
        raise BackupError("it is no backup of Watchgate's store") from None
    if isinstance(format_, int):
        raise BackupError(
            f"its format is {format_} and this version of Watchgate knows {FORMAT}; "
            "restore it with the version that made it",
        )
    raise BackupError("it is no backup of Watchgate's store")


def proved_lines(file: BinaryIO, pepper: bytes) -> Iterator[bytes]:
    """Yield all lines but the last, from the start; raise at the end if that does not prove them.

    Raises:
        BackupError: lines are missing, damaged, or not what was written under this pepper.
    """
    mac, held = _mac_under(pepper), b""
    for line in _lines(file):
        if held:
            mac.update(held)
            yield held
        held = line
    if not hmac.compare_digest(held, _last_line(mac.hexdigest())):
        raise BackupError("it is not what was written: lines were changed, added or taken away")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    with gzip.GzipFile(fileobj=file) as unpacked:
        while line := _line(unpacked):
            yield line


def _line(unpacked: gzip.GzipFile) -> bytes:
    try:
        line = unpacked.readline(MAX_LINE_BYTES)
    except EOFError:
        raise BackupError("it is cut off: take another backup, or copy it again") from None
    except gzip.BadGzipFile:
        raise BackupError("it is no backup of Watchgate's store, or damaged") from None
    except zlib.error:
        raise BackupError(_DAMAGED) from None
    if line and not line.endswith(b"\n"):
        raise BackupError(_DAMAGED)
    return line


def _last_line(digest: str) -> bytes:
    return msgspec.json.encode({"mac": digest}) + b"\n"


def _mac_under(pepper: bytes) -> hmac.HMAC:
    return hmac.new(hmac.digest(pepper, _PURPOSE, "sha256"), digestmod="sha256")
