"""Commands that ask the admin API: in this process on the store's machine, else over HTTP.

There is one code path: what the console's routes check and write down holds for commands too.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from service.commands.common import Exit, actor, load_settings, opened_store, say
from service.errors import ConfigError, WatchgateError
from service.settings import ADMIN_TOKEN_VARIABLE, ADMIN_URL_VARIABLE

if TYPE_CHECKING:
    import httpx

PREFIX: Final = "/admin/v1"
PAGE: Final = 1000
TIMEOUT_S: Final = 30.0
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


class Api:
    """The admin API, whichever way it is reached."""

    def __init__(self, client: "httpx.Client") -> None:
        """Ask nothing yet."""
        self._client = client

    def ask(self, method: str, path: str, body: Any = None, params: Params | None = None) -> Any:  # noqa: ANN401  (JSON)
        """Return what a good answer holds.

        Raises:
            ApiRefusal: it is another answer, or there is none.
        """
        import httpx  # noqa: PLC0415  (see `connected`)

        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            answer = self._client.request(method, PREFIX + path, json=body, params=given)
        except httpx.HTTPError as error:
            message = f"{self._client.base_url} does not answer: {type(error).__name__}"
            raise ApiRefusal(0, message) from None
        if not answer.is_success:
            raise ApiRefusal(answer.status_code, _why(answer))
        return answer.json()

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
    url = args.api or os.environ.get(ADMIN_URL_VARIABLE)
    with _remote(url) if url else _local(args) as client:
        yield Api(client)


@contextmanager
def _remote(url: str) -> "Iterator[httpx.Client]":
    import httpx  # noqa: PLC0415  (0.15 s that other commands do not need)

    token = os.environ.get(ADMIN_TOKEN_VARIABLE, "")
    if not token or not (token.isascii() and token.isprintable()):
        raise ConfigError(f"{ADMIN_TOKEN_VARIABLE}: set it to an admin token, as --api needs one")
    is_secure = _check_address(url)
    headers = {"authorization": f"Bearer {token}"}
    # in the clear nothing may go by a proxy of the environment: it would see the token
    with httpx.Client(
        base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_S, trust_env=is_secure
    ) as client:
        yield client


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
def _local(args: argparse.Namespace) -> "Iterator[httpx.Client]":
    """Ask the routes themselves, as `cli:USER` with the role admin: who reads the store is."""
    from service.commands.in_process import client_for  # noqa: PLC0415  (imports FastAPI)

    settings = load_settings(args)
    with opened_store(settings) as store, client_for(settings, store, actor()) as client:
        yield client


def _why(answer: "httpx.Response") -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the admin API answered with status {answer.status_code} and no error object"
