"""Asks a Redis whether it takes us; nothing is written."""

from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from service.core.findings import Finding, ok, problem

_TIMEOUT_S: Final = 3.0


def redis_at(
    url: str, *, ca_file: Path | None = None, certificate: tuple[Path, Path] | None = None
) -> Finding:
    """Send PING to `redis://`, `rediss://` or `unix://`; the address may hold a password."""
    tls = {"ssl_ca_certs": ca_file}
    if certificate is not None:
        tls |= {"ssl_certfile": certificate[0], "ssl_keyfile": certificate[1]}
    options = {name: str(file) for name, file in tls.items() if file is not None}
    client = Redis.from_url(
        url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S, **options
    )
    try:
        client.ping()
    except AuthenticationError:
        return problem("it refuses the password", "correct limits.url")
    except RedisError as error:
        words = f"it cannot be reached: {type(error).__name__}"  # its words may hold the address
        return problem(words, "look whether it runs, and correct limits.url")
    finally:
        client.close()
    return ok("it answers")
