"""Posts to the guard; the only file of the detectors that speaks HTTP.

One `httpx.Client` is shared by the judge's threads: it keeps connections open between requests.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from detectors.judge.config import JudgeConfig
from detectors.judge.errors import (
    BadConfig,
    Busy,
    JudgeError,
    Refused,
    TimedOut,
    Unparseable,
    Unreachable,
)
from detectors.judge.usage import Usage

MAX_ANSWER_BYTES: Final = 8 << 20
"""Far above any verdict, with ten log-probabilities for each token of the reasoning."""
FIRST_WAIT_S: Final = 0.25
"""Before the first retry, if the guard does not say; twice as long before each further one."""
CONNECT_TIMEOUT_S: Final = 5.0
KEEP_ALIVE_S: Final = 4.0
"""Less than vLLM keeps an idle connection, which is 5 s."""
LEAST_TIMEOUT_S: Final = 0.001

_HINTS: Final[Mapping[int, str]] = {
    httpx.codes.BAD_REQUEST: "is its context long enough for max_chars, and are logprobs allowed?",
    httpx.codes.UNAUTHORIZED: "is api_key right?",
    httpx.codes.FORBIDDEN: "is api_key right?",
    httpx.codes.NOT_FOUND: "are url and model right, and is it served for this family?",
}


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
            BadConfig: the CA file cannot be read.
        """
        self._config = config
        self._usage = usage
        self._clock = clock
        self._sleep = sleep
        self._base = config.url.rstrip("/").removesuffix("/v1")
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if config.api_key:
            headers["authorization"] = f"Bearer {config.api_key}"
        connections = config.max_concurrency
        self._http = httpx.Client(
            headers=headers,
            verify=_trust(config),
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
            trust_env=False,  # no proxy of the environment may see what is judged
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
        self._http.close()

    def _once(self, path: str, body: bytes, deadline: float, *, is_retry: bool) -> bytes:
        started = self._clock()
        left_s = max(deadline - started, LEAST_TIMEOUT_S)
        timeout = httpx.Timeout(left_s, connect=min(left_s, CONNECT_TIMEOUT_S))
        try:
            with self._http.stream(
                "POST", self._base + path, content=body, timeout=timeout
            ) as answer:
                return self._read(answer, deadline)
        except (httpx.HTTPError, OSError) as error:  # httpx lets errors of TLS through
            raise self._silence(error) from None
        finally:
            self._usage.asked(self._clock() - started, is_retry=is_retry)

    def _silence(self, error: Exception) -> JudgeError:
        is_late = isinstance(error, httpx.TimeoutException)
        if is_late and not isinstance(error, httpx.ConnectTimeout):
            return TimedOut(f"no answer within {self._config.timeout_s:g} s")
        return Unreachable(f"{self._base} does not answer: {type(error).__name__}")

    def _read(self, answer: httpx.Response, deadline: float) -> bytes:
        if answer.status_code != httpx.codes.OK:
            raise _error_of(answer)
        data = bytearray()
        for piece in answer.iter_raw():
            data += piece
            if len(data) > MAX_ANSWER_BYTES:
                raise Unparseable(f"the guard's answer is longer than {MAX_ANSWER_BYTES} bytes")
            if self._clock() > deadline:  # the timeout alone is one between two pieces
                raise TimedOut(f"no whole answer within {self._config.timeout_s:g} s")
        return bytes(data)


def _trust(config: JudgeConfig) -> ssl.SSLContext | bool:
    if not config.url.startswith("https:"):
        return False  # nothing to verify; loading authorities takes 20 ms
    try:
        return ssl.create_default_context(cafile=config.ca_file or None)
    except OSError:  # ssl's own errors are such
        raise BadConfig(f"judge {config.name!r}: ca_file: no PEM file of certificates") from None


def _error_of(answer: httpx.Response) -> JudgeError:
    status = answer.status_code
    if status in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}:
        wait_s = _seconds(answer.headers.get("retry-after", ""))
        if wait_s is None and status == httpx.codes.SERVICE_UNAVAILABLE:
            wait_s = FIRST_WAIT_S
        return Busy(f"the guard answered {status}", wait_s)
    hint = f": {_HINTS[status]}" if status in _HINTS else ""
    return Refused(f"the guard answered {status}{hint}")


def _seconds(value: str) -> float | None:
    """Read retry-after in seconds; a date is taken as none."""
    return float(value) if value.isascii() and value.isdigit() else None


def _wait_s(error: Unreachable | Busy, attempt: int) -> float | None:
    own_s: float = FIRST_WAIT_S * 2**attempt
    if isinstance(error, Busy):
        return None if error.wait_s is None else max(error.wait_s, own_s)
    return own_s
