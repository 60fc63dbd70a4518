"""An issuer's keys over a real connection, from issuers that are well, slow, away or hostile."""

import contextlib
import socket
import ssl
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from service.errors import KeysNotRead
from service.identity.fetch import MAX_BYTES, get
from service.identity.keys import PublicKey, read_key_set
from service.identity.places import DISCOVERY_PATH, At, Discovered, InFile
from tests.real_parts.certificates import self_signed
from tests.real_parts.jwks import IssuerServer, key_set, signing_key

KEY = signing_key("ES256")


def key_at(document: bytes) -> PublicKey | None:
    return read_key_set(document, ["ES256"]).find(KEY.id, "ES256")


def why(place: Any) -> str:  # noqa: ANN401  (a place)
    with pytest.raises(KeysNotRead) as error:
        place()
    return error.value.reason


def test_keys_come_from_an_address_and_from_the_issuers_configuration() -> None:
    with IssuerServer(KEY) as issuer:
        assert key_at(At(issuer.jwks_url)()) is not None
        assert key_at(Discovered(issuer.url)()) is not None
        assert [path for path, _ in issuer.asked] == ["/keys", DISCOVERY_PATH, "/keys"]


def test_an_answer_may_come_in_chunks_or_end_with_the_connection() -> None:
    document = key_set(KEY)

    def in_chunks(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("transfer-encoding", "chunked")
        to.end_headers()
        for at in range(0, len(document), 50):
            part = document[at : at + 50]
            to.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        to.wfile.write(b"0\r\n\r\n")

    def to_the_end(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.end_headers()
        to.wfile.write(document)
        to.close_connection = True

    with IssuerServer(KEY) as issuer:
        for page in (in_chunks, to_the_end):
            issuer.pages["/keys"] = page
            assert At(issuer.jwks_url)() == document


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with IssuerServer(KEY) as issuer:
        issuer.pages["/moved"] = (status, {"location": issuer.jwks_url}, b"")
        assert why(At(f"{issuer.url}/moved")) == "bad_status"
        assert [path for path, _ in issuer.asked] == ["/moved"]


@pytest.mark.parametrize("status", [204, 401, 404, 500, 503])
def test_any_other_status_than_200_brings_no_keys(status: int) -> None:
    with IssuerServer(KEY) as issuer:
        issuer.pages["/keys"] = (status, {}, b"" if status == 204 else key_set(KEY))
        assert why(At(issuer.jwks_url)) == "bad_status"


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    def for_ever(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.end_headers()
        with contextlib.suppress(OSError):
            while True:
                to.wfile.write(b" " * 65536)

    def head_for_ever(to: BaseHTTPRequestHandler) -> None:
        to.wfile.write(b"HTTP/1.1 200 OK\r\n")
        with contextlib.suppress(OSError):
            while True:
                to.wfile.write(b"x-more: " + b"x" * 8192 + b"\r\n")

    with IssuerServer(KEY) as issuer:
        issuer.pages["/keys"] = (200, {}, key_set(KEY) + b" " * MAX_BYTES)
        assert why(At(issuer.jwks_url)) == "too_large"
        for page in (for_ever, head_for_ever):
            issuer.pages["/keys"] = page
            assert why(At(issuer.jwks_url)) in {"too_large", "malformed"}


def test_an_issuer_that_drips_is_given_up_on_in_time() -> None:
    def drip(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("content-length", "1000")
        to.end_headers()
        with contextlib.suppress(OSError):
            while to.wfile.write(b" "):
                _wait_for_the_end(to.connection)

    with IssuerServer(KEY) as issuer:
        issuer.pages["/keys"] = drip
        assert why(At(issuer.jwks_url, timeout_s=1.0)) == "timeout"


def _wait_for_the_end(connection: socket.socket) -> None:
    """Wait a tenth of a second for the other side to close; then there is no more to do."""
    connection.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        if not connection.recv(1):
            raise ConnectionError


def test_an_issuer_that_does_not_listen_or_speaks_otherwise_brings_no_keys() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert why(At(f"http://127.0.0.1:{port}/keys")) == "unreachable"

    def otherwise(to: BaseHTTPRequestHandler) -> None:
        to.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")
        to.close_connection = True

    def nothing(to: BaseHTTPRequestHandler) -> None:
        to.close_connection = True

    with IssuerServer(KEY) as issuer:
        issuer.pages["/keys"] = otherwise
        assert why(At(issuer.jwks_url)) == "malformed"
        issuer.pages["/keys"] = nothing
        assert why(At(issuer.jwks_url)) == "unreachable"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"[]", "malformed"),
        (b"<html>", "malformed"),
        (b'{"jwks_uri": "https://evil.example.org/keys"}', "malformed"),
        (b'{"issuer": "https://other.example.org", "jwks_uri": "URL/keys"}', "malformed"),
        (b'{"issuer": "URL/", "jwks_uri": "URL/keys"}', "malformed"),
        (b'{"issuer": "URL"}', "malformed"),
        (b'{"issuer": "URL", "jwks_uri": ["URL/keys"]}', "malformed"),
        (b'{"issuer": "URL", "jwks_uri": "http://keys.example.org/"}', "not_private"),
        (b'{"issuer": "URL", "jwks_uri": "file:///etc/passwd"}', "not_private"),
        (b'{"issuer": "URL", "jwks_uri": "http://127.0.0.1@evil.example.org/"}', "not_private"),
        (b'{"issuer": "URL", "jwks_uri": "http://127.0.0.1/\\r\\nx: y"}', "not_private"),
    ],
)
def test_a_configuration_of_another_issuer_or_to_an_unsafe_place_is_refused(
    said: bytes, reason: str
) -> None:
    with IssuerServer(KEY) as issuer:
        page = said.replace(b"URL", issuer.url.encode())
        issuer.pages[DISCOVERY_PATH] = (200, {}, page)
        assert why(Discovered(issuer.url)) == reason
        assert len(issuer.asked) == 1


def test_what_is_shown_at_an_address_is_read_each_time(tmp_path: Path) -> None:
    bearer = tmp_path / "token"
    with IssuerServer(KEY) as issuer:
        place = At(issuer.jwks_url, bearer_file=bearer)
        assert why(place) == "no_bearer"
        for shown in ("one\n", "two"):
            bearer.write_text(shown)
            place()
        assert issuer.asked == [("/keys", "Bearer one"), ("/keys", "Bearer two")]
        bearer.write_text("one\r\nx-evil: 1")
        assert why(place) == "no_bearer"


def test_a_file_of_keys_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    place = InFile(path)
    assert why(place) == "unreachable"
    path.write_bytes(key_set(KEY))
    assert key_at(place()) is not None
    path.write_bytes(b" " * (MAX_BYTES + 1))
    assert why(place) == "too_large"


def test_an_issuer_is_known_by_its_certificate(tmp_path: Path) -> None:
    made = self_signed(tmp_path, "IP:127.0.0.1")
    with IssuerServer(KEY) as issuer:
        tls = made.server_context()
        issuer._server.socket = tls.wrap_socket(issuer._server.socket, server_side=True)
        url = issuer.jwks_url.replace("http://", "https://")
        assert key_at(get(url, made.client_context())) is not None
        assert why(At(url, ssl.create_default_context())) == "unreachable"
