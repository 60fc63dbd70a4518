"""An Alertmanager's API, version 2, as far as a sender of alerts needs it."""

import json
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from service.errors import ConfigError

TIMEOUT_S: Final = 5.0
"""For connecting, and for each read and write."""
PATH: Final = "/api/v2/alerts"


class Alertmanager:
    """Posts alerts to one address, `http(s)://[user:password@]host[:port][/prefix]`.

    Neither proxies nor redirects are followed: a login page is no acknowledgement.
    """

    def __init__(self, url: str) -> None:
        """Take the address; nothing is sent yet.

        Raises:
            ConfigError: it is no such address.
        """
        self._url = urlsplit(url)
        try:
            self._host, self._port = self._url.hostname or "", self._url.port
        except ValueError as error:
            raise ConfigError(f"alerts.alertmanagers: {self.name}: {error}") from None
        self._headers = {"Content-Type": "application/json", **_authorization(self._url)}

    @property
    def name(self) -> str:
        """The address without user and password, as it may be stored and shown."""
        host = self._url.netloc.rpartition("@")[2]
        return self._url._replace(netloc=host, query="", fragment="").geturl().rstrip("/")

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> str | None:
        """Post alerts; return what went wrong, None: they were taken, all of them."""
        try:
            status = self._status_of_post(json.dumps(alerts))
        except (OSError, HTTPException) as error:
            return _reason(error)
        return None if status == 200 else f"answered with status {status}"  # noqa: PLR2004

    def _status_of_post(self, body: str) -> int:
        connection = self._connect()
        try:
            path = self._url.path.rstrip("/") + PATH
            connection.request("POST", path, body.encode(), self._headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=context)
        return HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)


def _authorization(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {TIMEOUT_S:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
