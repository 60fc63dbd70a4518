"""Commands that ask the admin API: in this process on the store's machine, else over HTTP.

There is one code path: what the console's routes check and write down holds for commands too.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from service.commands.common import Exit, actor, load_settings, opened_store, say
from service.core.roles import Admin, Role
from service.errors import ConfigError, WatchgateError
from service.settings import ADMIN_TOKEN_VARIABLE, ADMIN_URL_VARIABLE

PREFIX: Final = "/admin/v1"
PAGE: Final = 5000
TIMEOUT_S: Final = 30.0
_GOOD: Final = 200
_NOT_GOOD: Final = 300
_NOT_FOUND: Final = 404
_WRONG: Final = 422
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Params = Mapping[str, str | int | float | bool | None]


class ApiRefusal(WatchgateError):
    """The admin API did not do what it was asked, and said why."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status, which decides the exit code."""
        super().__init__(message)
        self.status = status

    @property
    def exit(self) -> Exit:
        """The exit code: a value that is wrong is wrong usage."""
        return Exit.USAGE if self.status == _WRONG else Exit.PROBLEM


Send = Callable[[str, str, Any, Params], tuple[int, bytes]]
"""Takes method, path, body (None: none) and parameters; returns an answer's status and body."""


class Api:
    """The admin API, whichever way it is reached."""

    def __init__(self, send: Send) -> None:
        """Ask nothing yet."""
        self._send = send

    def ask(self, method: str, path: str, body: Any = None, params: Params | None = None) -> Any:  # noqa: ANN401  (JSON)
        """Return what a good answer holds.

        Raises:
            ApiRefusal: it is another answer, or there is none.
        """
        given = {name: _spelled(it) for name, it in (params or {}).items() if it is not None}
        try:
            status, answer = self._send(method, PREFIX + path, body, given)
        except UnicodeEncodeError:
            raise ApiRefusal(_WRONG, "expected arguments that are text in UTF-8") from None
        if not _GOOD <= status < _NOT_GOOD:
            raise ApiRefusal(status, _why(status, answer))
        return json.loads(answer)

    def all(self, path: str, by: str, params: Params | None = None) -> list[dict[str, Any]]:
        """Return a whole list, page by page; `by` names the field that `after` takes."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1][by] if found else None
            page = self.ask("GET", path, params={**(params or {}), "limit": PAGE, "after": after})
            found += page
            if len(page) < PAGE:
                return found


Do = Callable[[Api, argparse.Namespace], int]


def asks(do: Do) -> Callable[[argparse.Namespace], int]:
    """Make a command of a function that asks the admin API; refusals go to stderr."""

    def run(args: argparse.Namespace) -> int:
        try:
            with connected(args) as api:
                return do(api, args)
        except ApiRefusal as refusal:
            hint = f"; {args.look}" if refusal.status == _NOT_FOUND else ""
            say(f"{refusal}{hint}")
            return refusal.exit

    return run


@contextmanager
def connected(args: argparse.Namespace) -> Iterator[Api]:
    """Reach the admin API that --api or the environment names, or else the store's own.

    Raises:
        ConfigError: the settings or the address are wrong, or the token is missing.
    """
    url = address_of(args)
    with _remote(url) if url else _local(args) as send:
        yield Api(send)


@contextmanager
def _remote(url: str) -> Iterator[Send]:
    import httpx  # noqa: PLC0415  (0.1 s that commands on the store's machine do not need)

    is_secure = _check_address(url)
    token = os.environ.get(ADMIN_TOKEN_VARIABLE, "")
    if not token or not (token.isascii() and token.isprintable()):
        raise ConfigError(f"{ADMIN_TOKEN_VARIABLE}: set it to an admin token, as --api needs one")

    def send(method: str, path: str, body: Any, params: Params) -> tuple[int, bytes]:  # noqa: ANN401  (JSON)
        try:
            answer = client.request(method, path, json=body, params=params)
        except httpx.HTTPError as error:
            raise ApiRefusal(0, f"{url} does not answer: {type(error).__name__}") from None
        return answer.status_code, answer.content

    headers = {"authorization": f"Bearer {token}"}
    # in the clear nothing may go by a proxy of the environment: it would see the token
    with httpx.Client(
        base_url=_base(url), headers=headers, timeout=TIMEOUT_S, trust_env=is_secure
    ) as client:
        yield send


def address_of(args: argparse.Namespace) -> str | None:
    """Return the admin API's address; None: it is the store's own, on this machine."""
    return args.api or os.environ.get(ADMIN_URL_VARIABLE)


def _base(url: str) -> str:
    """Return the address before the admin API's own path, with which `watchgate up` tells it."""
    return url.rstrip("/").removesuffix(PREFIX)


def _check_address(url: str) -> bool:
    """Say whether an address is of https.

    Raises:
        ConfigError: it is none, or would send the token in the clear.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ConfigError("--api: expected an address such as https://watchgate.example.org:8081")
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise ConfigError(
            "--api: http:// would send the token in the clear: use https://, or a tunnel to "
            "an address of this machine"
        )
    return parts.scheme == "https"


@contextmanager
def _local(args: argparse.Namespace) -> Iterator[Send]:
    """Ask the routes themselves, as `cli:USER` with the role admin: who reads the store is."""
    from service.commands.in_process import InProcess  # noqa: PLC0415  (imports FastAPI)
    from service.wiring.office import make_office  # noqa: PLC0415

    settings = load_settings(args)
    with opened_store(settings) as store:
        yield InProcess(make_office(settings, store), Admin(actor(), Role.ADMIN))


def _spelled(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _why(status: int, answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the admin API answered with status {status} and no error object"
