"""Making keys: the one place where a key is in the clear."""

import secrets
from dataclasses import replace

from service.console.office import Change
from service.core.callers import (
    ID_ENTROPY_BYTES,
    KEY_ENTROPY_BYTES,
    digest_key,
    make_key,
    make_key_id,
    visible_prefix,
)
from service.core.directory import Scope
from service.store.keys import StoredKey, add_key
from service.store.limits import copy_limits
from service.store.pepper import pepper_id


def mint(change: Change, pepper: bytes, wanted: StoredKey) -> tuple[StoredKey, str]:
    """Store a key of fresh randomness and an id of its own, and return it with the key itself."""
    key = make_key(secrets.token_bytes(KEY_ENTROPY_BYTES))
    key_id = make_key_id(secrets.token_bytes(ID_ENTROPY_BYTES))
    made = replace(
        wanted,
        id=key_id,
        prefix=visible_prefix(key),
        created_at=change.now,
        created_by=change.origin.by,
    )
    add_key(change.connection, made, digest_key(pepper, key), pepper_id(pepper))
    return made, key


def mint_in_place_of(change: Change, pepper: bytes, old: StoredKey) -> tuple[StoredKey, str]:
    """Make a key that lives as long as an old one was meant to, and is bounded as it is."""
    lifetime_s = None if old.expires_at is None else old.expires_at - old.created_at
    expires_at = None if lifetime_s is None else change.now + lifetime_s
    made, key = mint(change, pepper, replace(old, expires_at=expires_at, last_used_at=None))
    copy_limits(change.connection, Scope.KEY, old.id, made.id)
    return made, key
