"""Whether the two ends of a caller's connection keep up with each other."""

import asyncio


class Flow:
    """Holds up reading while the application is behind, and the application while the caller is."""

    __slots__ = (
        "_is_read_paused",
        "_loop",
        "_stall_timeout_s",
        "_transport",
        "_unread_bytes",
        "_writable",
        "is_write_paused",
    )

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, stall_timeout_s: float
    ) -> None:
        """Let everything pass."""
        self.is_write_paused = False
        """The caller reads more slowly than is written: `drain` before writing on."""
        self._transport = transport
        self._loop = loop
        self._stall_timeout_s = stall_timeout_s
        self._is_read_paused = False
        self._unread_bytes = 0
        self._writable: asyncio.Future[None] | None = None

    def pause_reading(self) -> None:
        """Take in no more."""
        if not self._is_read_paused:
            self._is_read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take in more."""
        if self._is_read_paused:
            self._is_read_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Let who writes wait."""
        self.is_write_paused = True

    def resume_writing(self) -> None:
        """Let it write on."""
        self.is_write_paused = False
        self._unread_bytes = 0
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def check_reader(self) -> bool:
        """Let a caller go who has read none of what was written since the last check.

        Say whether anything was left to read: then check again.
        """
        before, self._unread_bytes = self._unread_bytes, self._transport.get_write_buffer_size()
        if self._unread_bytes and self._unread_bytes == before:
            self._transport.abort()
        return self._unread_bytes > 0

    async def drain(self) -> None:
        """Wait for a caller who reads more slowly than is written, and not for one who stopped."""
        self._writable = self._loop.create_future()
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                await self._writable
        except TimeoutError:
            self._transport.abort()
