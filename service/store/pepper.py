"""The pepper: the secret under which keys are digested."""

import hmac
import time
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from service.errors import ConfigError
from service.store.engine import Store
from service.store.secret_file import secret_in
from service.store.tables import peppers
from service.store.upsert import insert_into

MIN_BYTES: Final = 16
_PROVED: Final = b"watchgate pepper check"


def load_pepper(data_dir: Path, configured: str | None) -> bytes:
    """Return the configured pepper, or that of `data_dir/pepper`, a file made on first use.

    Raises:
        ConfigError: it is shorter than 16 bytes, or the file cannot be read or made.
    """
    if configured is not None:
        return _long_enough(configured.encode(), "auth.pepper")
    path = data_dir / "pepper"
    try:
        return _long_enough(secret_in(path), str(path))
    except OSError as error:
        raise ConfigError(f"auth.pepper: {path}: {error.strerror}") from None


def _long_enough(pepper: bytes, where: str) -> bytes:
    if len(pepper) < MIN_BYTES:
        raise ConfigError(
            f"auth.pepper: {where} has {len(pepper)} bytes; at least {MIN_BYTES} are needed",
        )
    return pepper


def pepper_id(pepper: bytes) -> str:
    """Return the name that the store knows a pepper by."""
    return _proof(pepper)[:8].hex()


def check_pepper(store: Store, pepper: bytes) -> None:
    """Make sure that keys are looked up under the pepper that they were made under.

    The first pepper that is checked is the store's: under another no key would be known.

    Raises:
        ConfigError: it is another.
    """
    with store.read() as connection:
        proofs = _proofs(connection)
    if not proofs:
        with store.begin() as connection:
            if not (proofs := _proofs(connection)):
                row = {"id": pepper_id(pepper), "proof": _proof(pepper), "made_at": time.time()}
                connection.execute(insert_into(connection, peppers).values(row))
                proofs = [_proof(pepper)]
    if not any(hmac.compare_digest(proof, _proof(pepper)) for proof in proofs):
        raise ConfigError(
            "auth.pepper: the keys in the store were made under another pepper; "
            "set the one that was used then, or bring back its file",
        )


def _proofs(connection: Connection) -> list[bytes]:
    return list(
        connection.execute(select(peppers.c.proof).where(peppers.c.retired_at.is_(None))).scalars()
    )


def _proof(pepper: bytes) -> bytes:
    return hmac.digest(pepper, _PROVED, "sha256")
