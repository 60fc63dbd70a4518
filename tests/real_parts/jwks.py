"""An issuer of tokens: real keys, and a real HTTP server on 127.0.0.1 that shows the public ones.

with IssuerServer(signing_key("RS256")) as issuer:
    token = issuer.token(sub="alice", aud="watchgate")
"""

import functools
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE: Final = "https://models.example.org"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that tokens are signed with."""

    id: str
    algorithm: str
    private: PrivateKey

    def sign(self, claims: Mapping[str, Any], **headers: object) -> str:
        """Return a token; headers that are None are left out."""
        given = {"kid": self.id, **headers}
        kept = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(dict(claims), self.private, self.algorithm, headers=kept)

    def jwk(self, **more: object) -> dict[str, Any]:
        """Return the public key as issuers show it; members that are None are left out."""
        found = {**_jwk(self.private), "kid": self.id, "use": "sig", "alg": self.algorithm, **more}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def pem(self) -> str:
        """The public key."""
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@functools.cache  # an RSA key takes a tenth of a second
def signing_key(algorithm: str = "RS256", id_: str = "key-1", *, bits: int = 2048) -> SigningKey:
    """Make a key, the same one each time that it is asked for."""
    private: PrivateKey
    match algorithm:
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            private = ec.generate_private_key(ec.SECP384R1())
        case "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        case _:
            private = rsa.generate_private_key(65537, bits)
    return SigningKey(id_, algorithm, private)


def key_set(*keys: SigningKey | dict[str, Any]) -> bytes:
    """Return a JWK set."""
    shown = [key.jwk() if isinstance(key, SigningKey) else key for key in keys]
    return json.dumps({"keys": shown}).encode()


def forged(header: object, claims: object, signature: bytes = b"forged") -> str:
    """Return what looks like a token; header and claims are JSON, or bytes as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode()
             for part in (header, claims)]  # fmt: skip
    return ".".join(base64url(part) for part in (*parts, signature))


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


Page = tuple[int, dict[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]
"""A status, headers and a body, or what plays the server's part."""


class IssuerServer:
    """An issuer: its keys are at `/keys`, and its configuration says so."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.pages: dict[str, Page] = {}
        """What is at a path in place of what should be there."""
        self.asked: list[tuple[str, str | None]] = []
        """Paths that were asked for, with the authorization shown."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/keys"

    def claims(self, **more: object) -> dict[str, Any]:
        """Return claims of a good token; those that are None are left out."""
        now = int(time.time())
        given = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600,
                 **more}  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}

    def token(self, **more: object) -> str:
        """Return a token of the first key."""
        return self.keys[0].sign(self.claims(**more))

    def page(self, path: str) -> Page:
        if path in self.pages:
            return self.pages[path]
        if path == "/keys":
            return 200, {}, key_set(*self.keys)
        if path == "/.well-known/openid-configuration":
            said = {"issuer": self.url, "jwks_uri": self.jwks_url}
            return 200, {}, json.dumps(said).encode()
        return 404, {}, b""

    def __enter__(self) -> Self:
        serve = functools.partial(self._server.serve_forever, poll_interval=0.05)
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                issuer.asked.append((self.path, self.headers["authorization"]))
                page = issuer.page(self.path)
                if callable(page):
                    page(self)
                    return
                status, headers, body = page
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _jwk(private: PrivateKey) -> dict[str, Any]:
    match private:
        case rsa.RSAPrivateKey():
            return RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            return ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case _:
            return OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
