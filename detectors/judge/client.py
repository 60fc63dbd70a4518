"""Posts to the guard; with deadlines.py the only file of the detectors that speaks HTTP.

One pool of connections is shared by the judge's threads, and keeps them open between requests. No
proxy of the environment is used: it would see what is judged.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpcore

from detectors.judge.config import JudgeConfig
from detectors.judge.deadlines import BoundedBackend, Deadline
from detectors.judge.errors import (
    BadConfig,
    Busy,
    JudgeError,
    Refused,
    TimedOut,
    Unparseable,
    Unreachable,
)
from detectors.judge.retry_after import seconds_until
from detectors.judge.usage import Usage

MAX_ANSWER_BYTES: Final = 8 << 20
"""Far above any verdict, with ten log-probabilities for each token of the reasoning."""
FIRST_WAIT_S: Final = 0.25
"""Before the first retry, if the guard does not say; twice as long before each further one."""
CONNECT_TIMEOUT_S: Final = 5.0
KEEP_ALIVE_S: Final = 4.0
"""Less than vLLM keeps an idle connection, which is 5 s."""
LEAST_TIMEOUT_S: Final = 0.001

_OK: Final = 200
_TOO_MANY_REQUESTS: Final = 429
_UNAVAILABLE: Final = 503
_HINTS: Final[Mapping[int, str]] = {
    400: "is its context long enough for max_chars, and are logprobs allowed?",
    401: "is api_key right?",
    403: "is api_key right?",
    404: "are url and model right, and is it served for this family?",
}
_SILENCE: Final = (  # errors of TLS, which httpcore lets through, are OSErrors
    *(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError),
    OSError,
)


class Client:
    """Asks one guard, with bounded time, retries and size."""

    def __init__(
        self,
        config: JudgeConfig,
        usage: Usage,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open no connection yet.

        Raises:
            BadConfig: the CA file cannot be read, or the address is none that HTTP can name.
        """
        self._config = config
        self._usage = usage
        self._clock = clock
        self._sleep = sleep
        self._base = _base(config)
        self._headers = _headers(config)
        self._deadline = Deadline(clock)
        self._pool = httpcore.ConnectionPool(
            ssl_context=_trust(config),
            max_connections=config.max_concurrency,
            max_keepalive_connections=config.max_concurrency,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=BoundedBackend(self._deadline),
        )

    def post(self, path: str, body: bytes) -> bytes:
        """Return the body of the answer with status 200.

        Raises:
            JudgeError: there is none; `Unreachable` and `Busy` after the retries.
        """
        deadline = self._clock() + self._config.timeout_s
        for attempt in range(self._config.retries):
            try:
                return self._once(path, body, deadline, is_retry=attempt > 0)
            except (Unreachable, Busy) as error:
                wait_s = _wait_s(error, attempt)
                if wait_s is None or self._clock() + wait_s >= deadline:
                    raise
                self._sleep(wait_s)
        return self._once(path, body, deadline, is_retry=self._config.retries > 0)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _once(self, path: str, body: bytes, deadline: float, *, is_retry: bool) -> bytes:
        started = self._clock()
        self._deadline.at = deadline
        left_s = max(deadline - started, LEAST_TIMEOUT_S)
        timeout = {"connect": min(left_s, CONNECT_TIMEOUT_S), "pool": left_s}
        try:
            with self._pool.stream(
                "POST",
                self._base + path,
                headers=self._headers,
                content=body,
                extensions={"timeout": timeout},
            ) as answer:
                return _read(answer)
        except _SILENCE as error:
            raise self._silence(error) from None
        finally:
            self._usage.asked(self._clock() - started, is_retry=is_retry)

    def _silence(self, error: Exception) -> JudgeError:
        is_late = isinstance(error, httpcore.TimeoutException)
        if is_late and not isinstance(error, httpcore.ConnectTimeout):
            return TimedOut(f"no whole answer within {self._config.timeout_s:g} s")
        return Unreachable(f"{self._base} does not answer: {type(error).__name__}")


def _base(config: JudgeConfig) -> str:
    base = config.url.rstrip("/").removesuffix("/v1")
    try:
        httpcore.URL(base)
    except (TypeError, ValueError):
        what = "expected ASCII (a name in its xn-- form) and a port up to 65535"
        raise BadConfig(f"judge {config.name!r}: url: {what}") from None
    return base


def _headers(config: JudgeConfig) -> list[tuple[str, str]]:
    headers = [
        ("host", config.url.split("/")[2]),
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
    ]
    key = config.api_key
    return [*headers, ("authorization", f"Bearer {key}")] if key else headers


def _trust(config: JudgeConfig) -> ssl.SSLContext | None:
    if not config.url.startswith("https:"):
        return None  # nothing to verify; loading authorities takes 20 ms
    try:
        return ssl.create_default_context(cafile=config.ca_file or None)
    except OSError:  # ssl's own errors are such
        raise BadConfig(f"judge {config.name!r}: ca_file: no PEM file of certificates") from None


def _read(answer: httpcore.Response) -> bytes:
    if answer.status != _OK:
        raise _error_of(answer)
    data = bytearray()
    for piece in answer.iter_stream():
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            raise Unparseable(f"the guard's answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(data)


def _error_of(answer: httpcore.Response) -> JudgeError:
    status = answer.status
    if status in {_TOO_MANY_REQUESTS, _UNAVAILABLE}:
        wait_s = seconds_until(_header(answer, b"retry-after"), time.time())
        if wait_s is None and status == _UNAVAILABLE:
            wait_s = FIRST_WAIT_S
        return Busy(f"the guard answered {status}", wait_s)
    hint = f": {_HINTS[status]}" if status in _HINTS else ""
    return Refused(f"the guard answered {status}{hint}")


def _header(answer: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for it, value in answer.headers if it.lower() == name), "")


def _wait_s(error: Unreachable | Busy, attempt: int) -> float | None:
    own_s: float = FIRST_WAIT_S * 2**attempt
    if isinstance(error, Busy):
        return None if error.wait_s is None else max(error.wait_s, own_s)
    return own_s
