"""The peppers: the secrets under which keys are digested.

A process holds one or more, from its settings or the files. The store knows them by id and says
which is in use: new keys are digested under the one that was switched to last. So a new pepper can
be brought to every process before a single key depends on it, and no valid key is ever refused.
"""

import hmac
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from service.errors import ConfigError
from service.store.engine import Store
from service.store.pepper_files import NEWEST, PREVIOUS, peppers_in
from service.store.tables import peppers
from service.store.upsert import insert_into

MIN_BYTES: Final = 16
_PROVED: Final = b"watchgate pepper check"


def load_pepper(data_dir: Path, configured: str | None) -> bytes:
    """Return the configured pepper, or that of `data_dir/pepper`, a file made on first use.

    Raises:
        ConfigError: it is shorter than 16 bytes, or the file cannot be read or made.
    """
    return load_peppers(data_dir, configured, ())[0]


def load_peppers(
    data_dir: Path, configured: str | None, previous: Sequence[str]
) -> tuple[bytes, ...]:
    """Return all peppers that were given, the newest first; the files if none is configured.

    Raises:
        ConfigError: one is shorter than 16 bytes, or a file cannot be read or made.
    """
    listed = [
        _long_enough(pepper.encode(), f"auth.previous_peppers[{number}]", "it")
        for number, pepper in enumerate(previous)
    ]
    if configured is not None:
        first = _long_enough(configured.encode(), "auth.pepper", "it")
        return tuple(dict.fromkeys([first, *listed]))
    try:
        found = peppers_in(data_dir)
    except OSError as error:
        raise ConfigError(
            f"auth.pepper: {data_dir / NEWEST} (or {PREVIOUS}): {error.strerror}"
        ) from None
    newest, *older = found
    _long_enough(newest, "auth.pepper", str(data_dir / NEWEST))
    for pepper in older:
        _long_enough(pepper, "auth.pepper", f"a line of {data_dir / PREVIOUS}")
    return tuple(dict.fromkeys([*found, *listed]))


def _long_enough(pepper: bytes, setting: str, where: str) -> bytes:
    if len(pepper) < MIN_BYTES:
        raise ConfigError(
            f"{setting}: {where} has {len(pepper)} bytes; at least {MIN_BYTES} are needed",
        )
    return pepper


def pepper_id(pepper: bytes) -> str:
    """Return the name that the store knows a pepper by."""
    return pepper_proof(pepper)[:8].hex()


def pepper_proof(pepper: bytes) -> bytes:
    """Return what tells a pepper from any other, and nothing of it."""
    return hmac.digest(pepper, _PROVED, "sha256")


def pepper_in_use(store: Store, given: Sequence[bytes]) -> bytes:
    """Return the one of the given peppers, newest first, that new keys are digested under.

    The first that a store is asked for is its own from then on.

    Raises:
        ConfigError: keys in the store may be under a pepper that is not among the given ones.
    """
    with store.read() as connection:
        rows = valid_peppers(connection)
    if rows:
        return held_in_use(rows, given)
    with store.begin() as connection:
        return pepper_for_new_keys(connection, given)


def pepper_for_new_keys(connection: Connection, given: Sequence[bytes]) -> bytes:
    """Return what `pepper_in_use` does, within the transaction that stores what is digested.

    Raises:
        ConfigError: as `pepper_in_use`.
    """
    if not valid_peppers(connection):
        register(connection, given[0], time.time())
    return held_in_use(valid_peppers(connection), given)


def held_in_use(rows: Sequence[tuple[str, bytes]], given: Sequence[bytes]) -> bytes:
    """Return the given pepper of the first of these rows.

    Raises:
        ConfigError: one of the rows is of no given pepper.
    """
    by_proof = {pepper_proof(pepper): pepper for pepper in given}
    missing = ", ".join(id_ for id_, proof in rows if proof not in by_proof)
    if missing:
        raise ConfigError(
            f"auth.pepper: keys in the store were made under another pepper ({missing}); "
            "set the one that was used then (auth.pepper, auth.previous_peppers), or bring back "
            "its file (pepper, pepper.previous in data_dir)",
        )
    return by_proof[rows[0][1]]


def valid_peppers(connection: Connection) -> Sequence[tuple[str, bytes]]:
    """Return id and proof of the peppers that are not retired, the one in use first."""
    query = select(peppers.c.id, peppers.c.proof).where(peppers.c.retired_at.is_(None))
    rows = connection.execute(query.order_by(peppers.c.made_at.desc(), peppers.c.id))
    return [(id_, proof) for id_, proof in rows]


def lacking_peppers(connection: Connection, known: Collection[str]) -> Sequence[str]:
    """Return the ids of peppers that keys may be under, and that are not known."""
    return [id_ for id_, _ in valid_peppers(connection) if id_ not in known]


def id_in_use(connection: Connection) -> str | None:
    """Return the id of the pepper that new keys are digested under; None: no key was made yet."""
    rows = valid_peppers(connection)
    return rows[0][0] if rows else None


def register(connection: Connection, pepper: bytes, at: float) -> None:
    """Let a pepper be the one in use from a time on, in Unix seconds."""
    row = {"id": pepper_id(pepper), "proof": pepper_proof(pepper), "made_at": at}
    query = insert_into(connection, peppers).values(row)
    connection.execute(query.on_conflict_do_update(index_elements=["id"], set_={"made_at": at}))
