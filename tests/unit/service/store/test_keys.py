from dataclasses import replace

from service.core.callers import Caller, Denial, authenticate
from service.store import Store, load_snapshot, revision
from service.store.keys import (
    StoredKey,
    add_key,
    expire_key,
    find_key,
    list_keys,
    revoke_key,
)

NOW = 1_000_000.0
KEY = StoredKey("key_1", "search", "sk-wg-aaaaaa", NOW, "cli:tester")
DIGEST = bytes(32)


def add(store: Store, key: StoredKey = KEY, digest: bytes = DIGEST) -> None:
    with store.begin() as connection:
        add_key(connection, key, digest)


def outcome(store: Store, now: float = NOW) -> Caller | Denial:
    return authenticate(load_snapshot(store, now), DIGEST, now)


def test_a_new_key_is_in_the_next_snapshot_and_the_revision_says_so(store: Store) -> None:
    before = load_snapshot(store, NOW)
    add(store)
    after = load_snapshot(store, NOW + 1)
    assert before.keys == {}
    assert outcome(store) == Caller("key_1", "search", account="search")
    assert after.revision == revision(store) > before.revision
    assert after.loaded_at == NOW + 1


def test_a_revoked_key_is_refused_from_the_next_snapshot_on(store: Store) -> None:
    add(store)
    before = revision(store)
    with store.begin() as connection:
        assert revoke_key(connection, "key_1", NOW)
    assert revision(store) > before
    assert outcome(store) is Denial.REVOKED


def test_revoking_again_changes_nothing(store: Store) -> None:
    add(store)
    with store.begin() as connection:
        revoke_key(connection, "key_1", NOW)
    before = revision(store)
    with store.begin() as connection:
        assert not revoke_key(connection, "key_1", NOW + 1)
        assert not revoke_key(connection, "key_unknown", NOW + 1)
        found = find_key(connection, "key_1")
    assert found is not None
    assert found.revoked_at == NOW
    assert revision(store) == before


def test_an_expired_key_is_refused(store: Store) -> None:
    add(store, replace(KEY, expires_at=NOW + 60))
    assert outcome(store, NOW + 59) == Caller("key_1", "search", account="search")
    assert outcome(store, NOW + 60) is Denial.EXPIRED


def test_an_expiry_is_only_ever_brought_forward(store: Store) -> None:
    add(store)
    with store.begin() as connection:
        expire_key(connection, "key_1", NOW + 60)
        expire_key(connection, "key_1", NOW + 90)
        found = find_key(connection, "key_1")
    assert found == replace(KEY, expires_at=NOW + 60)


def test_keys_are_listed_by_age_and_by_project(store: Store) -> None:
    other = StoredKey("key_0", "chat", "sk-wg-bbbbbb", NOW - 1, "cli:tester")
    add(store)
    add(store, other, bytes(31) + b"1")
    with store.read() as connection:
        assert list_keys(connection) == [other, KEY]
        assert list_keys(connection, "search") == [KEY]
        assert list_keys(connection, "nobody") == []
        assert find_key(connection, "key_unknown") is None
