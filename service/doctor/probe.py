"""Asks an address over HTTP, without following, keeping or believing anything."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from service.core.perimeter import Answer, Outcome, Silence

TIMEOUT_S: Final = 3.0
"""For connecting, and for each read and write."""
WHOLE_S: Final = 8.0
"""For a request and what is read of its answer."""
AT_ONCE: Final = 24
MAX_BODY_BYTES: Final = 1024 * 1024
"""What is read of an answer at most."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request."""

    outcome: Outcome
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower case names."""
    body: bytes = b""

    @property
    def status(self) -> int | None:
        """The status, None without an answer."""
        return self.outcome.status if isinstance(self.outcome, Answer) else None

    @property
    def json(self) -> Any:  # noqa: ANN401  (whatever JSON holds)
        """The body as JSON, None if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Prober:
    """Sends requests to one base address. Belongs to one event loop.

    Args:
        base_url: `http(s)://[user:password@]host[:port][/prefix]`.
        tls: what to trust and to show. None: the system's authorities and nothing; a certificate
            that they do not vouch for is then noted in `is_vouched_for`, and taken.
    """

    def __init__(self, base_url: str, tls: ssl.SSLContext | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.is_vouched_for = True
        self._may_doubt = tls is None
        self._client = _client(tls or ssl.create_default_context())
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        """Give itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def resolves(self) -> bool:
        """Say whether the host has an address, told in time."""
        host = urlsplit(self.base_url).hostname
        try:
            async with asyncio.timeout(WHOLE_S):
                await asyncio.get_running_loop().getaddrinfo(host, None)
        except (OSError, UnicodeError):
            return False
        return True

    async def ask(self, method: str, path: str, *, key: str | None = None) -> Reply:
        """Send a request without body; what goes wrong is an outcome."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        async with self._slots:
            try:
                return await self._send(method, path, headers)
            except TimeoutError:
                return Reply(Silence.SILENT)
            except (httpx.HTTPError, OSError) as error:  # httpx lets errors of TLS through
                silence = _silence_of(error)
        if silence is None and self._may_doubt:
            await self._take_any_certificate()
            return await self.ask(method, path, key=key)
        return Reply(silence or Silence.NO_TLS)

    async def _send(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        async with (
            asyncio.timeout(WHOLE_S),
            self._client.stream(method, self.base_url + path, headers=headers) as answer,
        ):
            body = b""
            async for part in answer.aiter_raw():
                body += part
                if len(body) >= MAX_BODY_BYTES:
                    break
        outcome = Answer(answer.status_code, _code_in(body))
        return Reply(outcome, {k.lower(): v for k, v in answer.headers.items()}, body)

    async def _take_any_certificate(self) -> None:
        """Go on without asking who answers: only that somebody does counts, and no key is sent."""
        if self.is_vouched_for:
            self.is_vouched_for = False
            await self._client.aclose()
            self._client = _client(_believing())


def _client(tls: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=tls,
        follow_redirects=False,
        trust_env=False,  # a proxy of this shell's would answer for the address
        timeout=TIMEOUT_S,
        headers={"accept-encoding": "identity", "user-agent": "watchgate-doctor"},
    )


def _believing() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _code_in(body: bytes) -> str | None:
    """Return the code of an OpenAI error object; vLLM's are numbers, which are not returned."""
    try:
        error = json.loads(body)["error"]
        code = error["code"]
    except (ValueError, LookupError, TypeError):
        return None
    return code if isinstance(code, str) else None


def _silence_of(error: Exception) -> Silence | None:
    """Say why no answer came; None: the certificate is not vouched for."""
    causes = list(_causes(error))
    if any(isinstance(it, ssl.SSLCertVerificationError) for it in causes):
        return None
    if reasons := [it.reason or "" for it in causes if isinstance(it, ssl.SSLError)]:
        asks = any("CERTIFICATE_REQUIRED" in reason for reason in reasons)
        return Silence.NO_CERTIFICATE if asks else Silence.NO_TLS
    if isinstance(error, httpx.ConnectTimeout):
        return Silence.NO_CONNECTION
    if isinstance(error, httpx.ConnectError):
        return _unconnected(causes)
    return Silence.SILENT if isinstance(error, httpx.TimeoutException) else Silence.DROPPED


def _unconnected(causes: list[BaseException]) -> Silence:
    if any(isinstance(it, socket.gaierror) for it in causes):
        return Silence.UNRESOLVED
    if any(isinstance(it, ConnectionRefusedError) for it in causes):
        return Silence.REFUSED
    if any(isinstance(it, ConnectionResetError | EOFError) for it in causes):
        return Silence.DROPPED  # in the middle of a TLS handshake
    return Silence.UNREACHABLE


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__


def is_base_url(text: str) -> bool:
    """Say whether a text is `http(s)://host[:port][/prefix]`, without user, query and fragment."""
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0
    except ValueError:
        return False
    rest = parts.query or parts.fragment or parts.username
    is_plain = text.isascii() and text.isprintable() and " " not in text
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and has_port
        and is_plain
        and not rest
    )
