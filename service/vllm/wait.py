"""Waiting until a vLLM answers."""

import http
import http.client
import time
import urllib.request
from collections.abc import Callable

from service.vllm.home import Say, VllmError

START_UP_LIMIT_S = 300.0
"""Start-up is mostly imports: 40 to 130 s on two cores, more when they are shared."""

POLL_S = 0.5
ANSWER_LIMIT_S = 5.0
TOLD_EVERY_S = 10.0


def wait_until_healthy(
    base_url: str,
    say: Say,
    *,
    limit_s: float = START_UP_LIMIT_S,
    is_alive: Callable[[], bool] = lambda: True,
) -> float:
    """Return the seconds until `base_url`/health answered 200, saying now and then how long it is.

    Raises:
        VllmError: `is_alive` turned false (the process ended), or `limit_s` passed.
    """
    started_s = time.monotonic()
    told_s = 0.0
    while not answers(f"{base_url}/health"):
        waited_s = time.monotonic() - started_s
        if not is_alive():
            raise VllmError(f"vLLM ended after {waited_s:.0f} s, before it answered")
        if waited_s > limit_s:
            raise VllmError(f"vLLM at {base_url} did not answer within {limit_s:.0f} s")
        if waited_s - told_s >= TOLD_EVERY_S:
            told_s = waited_s
            say(f"starting, {waited_s:.0f} s (usually 40 to 130)")
        time.sleep(POLL_S)
    return time.monotonic() - started_s


def answers(url: str) -> bool:
    """Tell whether a GET of `url` gives 200 within a few seconds."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_LIMIT_S) as answer:  # noqa: S310
            return bool(answer.status == http.HTTPStatus.OK)
    except (OSError, http.client.HTTPException):
        return False
