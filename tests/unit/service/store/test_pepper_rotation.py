import pytest
from sqlalchemy import insert, select

from service.core.callers import Denial, authenticate, digest_key
from service.errors import PepperRefused
from service.store import Store, load_snapshot, revision
from service.store.keys import StoredKey, add_key, expire_key, revoke_key
from service.store.pepper import pepper_id, pepper_in_use
from service.store.pepper_rotation import Live, list_peppers, live_under, retire, switch_to
from service.store.redigest import MAX_NOTED, Redigests, redigest
from service.store.tables import admin_tokens, keys

NOW = 1_000_000.0
OLD, NEW, NEWEST = b"the old pepper!!", b"the new pepper!!", b"the newest one!!"
OLD_ID, NEW_ID = pepper_id(OLD), pepper_id(NEW)


def add(store: Store, name: str, pepper: bytes = OLD, id_: str | None = None) -> bytes:
    """Store the key of this name, and return its digest."""
    digest = digest_key(pepper, name)
    key = StoredKey(name, "search", "sk-wg-aaaaaa", NOW, "cli:tester")
    with store.begin() as connection:
        add_key(connection, key, digest, pepper_id(pepper) if id_ is None else id_)
    return digest


def switch(store: Store, pepper: bytes, now: float = NOW) -> None:
    pepper_in_use(store, [OLD, NEW, NEWEST])
    with store.begin() as connection:
        assert switch_to(connection, pepper, now)


def live(store: Store, now: float = NOW) -> dict[str, int]:
    with store.read() as connection:
        return {id_: live.keys for id_, live in live_under(connection, now).items()}


def peppers_of_keys(store: Store) -> dict[str, str]:
    with store.read() as connection:
        return {row.id: row.pepper for row in connection.execute(select(keys))}


def test_live_keys_are_those_that_neither_ended_nor_were_revoked(store: Store) -> None:
    pepper_in_use(store, [OLD])
    for name in ("lasting", "ending", "gone"):
        add(store, name)
    with store.begin() as connection:
        expire_key(connection, "ending", NOW + 60)
        revoke_key(connection, "gone", NOW)
    assert live(store) == {OLD_ID: 2}
    assert live(store, NOW + 60) == {OLD_ID: 1}


def test_keys_older_than_ids_of_peppers_are_under_the_first(store: Store) -> None:
    pepper_in_use(store, [OLD])
    add(store, "older", id_="")
    assert live(store) == {OLD_ID: 1}
    switch(store, NEW)
    assert live(store) == {OLD_ID: 1}
    assert peppers_of_keys(store) == {"older": OLD_ID}


def test_the_pepper_that_was_switched_to_last_is_in_use_whatever_the_clock_says(
    store: Store,
) -> None:
    switch(store, NEW, now=5.0)
    assert pepper_in_use(store, [NEW, OLD]) == NEW
    switch(store, OLD, now=4.0)
    assert pepper_in_use(store, [NEW, OLD]) == OLD


def test_a_pepper_is_not_retired_while_it_is_in_use_or_unknown(store: Store) -> None:
    switch(store, NEW)
    with store.begin() as connection:
        with pytest.raises(PepperRefused, match="is in use: switch"):
            retire(connection, NEW_ID, NOW)
        with pytest.raises(PepperRefused, match="no pepper has the id 'nothing'"):
            retire(connection, "nothing", NOW)


def test_a_pepper_is_not_retired_while_live_keys_are_under_it(store: Store) -> None:
    add(store, "first")
    switch(store, NEW)
    with store.begin() as connection, pytest.raises(PepperRefused, match="1 live keys and 0 admin"):
        retire(connection, OLD_ID, NOW)
    with store.begin() as connection:
        revoke_key(connection, "first", NOW)
        assert retire(connection, OLD_ID, NOW) == Live()
        assert retire(connection, OLD_ID, NOW + 1) is None
        assert [one.retired_at for one in list_peppers(connection)] == [None, NOW]
        with pytest.raises(PepperRefused, match="was retired"):
            switch_to(connection, OLD, NOW)


def test_retiring_a_pepper_by_force_revokes_the_keys_that_are_under_it(store: Store) -> None:
    digest, other = add(store, "first"), add(store, "second", NEW)
    switch(store, NEW)
    before = revision(store)
    with store.begin() as connection:
        assert retire(connection, OLD_ID, NOW, force=True) == Live(keys=1)
    assert revision(store) > before
    snapshot = load_snapshot(store, NOW)
    assert authenticate(snapshot, digest, NOW) is Denial.REVOKED
    assert not isinstance(authenticate(snapshot, other, NOW), Denial)


def add_token(store: Store, name: str) -> bytes:
    digest = digest_key(OLD, name)
    row = {"id": name, "name": "ops", "role": "admin", "prefix": "wg", "created_by": "cli:a"}
    with store.begin() as connection:
        values = row | {"digest": digest, "pepper": OLD_ID, "created_at": NOW}
        connection.execute(insert(admin_tokens).values(values))
    return digest


def test_admin_tokens_keep_a_pepper_from_being_retired_as_keys_do(store: Store) -> None:
    add_token(store, "token")
    switch(store, NEW)
    with store.begin() as connection, pytest.raises(PepperRefused, match="0 live keys and 1 admin"):
        retire(connection, OLD_ID, NOW)
    with store.begin() as connection:
        assert retire(connection, OLD_ID, NOW, force=True) == Live(admin_tokens=1)
        assert connection.execute(select(admin_tokens.c.revoked_at)).scalar() == NOW


def test_a_used_admin_token_is_digested_anew(store: Store) -> None:
    rows = {add_token(store, "token"): digest_key(NEW, "token")}
    switch(store, NEW)
    assert redigest(store, rows, NEW_ID, admin_tokens) == 1
    with store.begin() as connection:
        assert live_under(connection, NOW) == {NEW_ID: Live(admin_tokens=1)}
        assert retire(connection, OLD_ID, NOW) == Live()


def test_a_used_key_is_digested_anew_once_the_new_pepper_is_in_use(store: Store) -> None:
    old, new = add(store, "key"), digest_key(NEW, "key")
    pepper_in_use(store, [OLD])
    redigests = Redigests(NEW)
    redigests.note(old, new)
    assert redigests.flush(store) == 0
    assert peppers_of_keys(store) == {"key": OLD_ID}
    switch(store, NEW)
    before = revision(store)
    redigests.note(old, new)
    assert redigests.flush(store) == 1
    assert peppers_of_keys(store) == {"key": NEW_ID}
    assert revision(store) > before
    assert set(load_snapshot(store, NOW).keys) == {new}


def test_digesting_anew_twice_changes_nothing(store: Store) -> None:
    rows = {add(store, "key"): digest_key(NEW, "key")}
    switch(store, NEW)
    assert redigest(store, rows, NEW_ID) == 1
    before = revision(store)
    assert redigest(store, rows, NEW_ID) == 0
    assert revision(store) == before


def test_a_key_that_was_revoked_meanwhile_stays_so(store: Store) -> None:
    old, new = add(store, "key"), digest_key(NEW, "key")
    switch(store, NEW)
    redigests = Redigests(NEW)
    redigests.note(old, new)
    with store.begin() as connection:
        revoke_key(connection, "key", NOW)
    redigests.flush(store)
    assert authenticate(load_snapshot(store, NOW), new, NOW) is Denial.REVOKED


def test_nothing_is_digested_under_a_pepper_that_another_took_the_place_of(store: Store) -> None:
    rows = {add(store, "key"): digest_key(NEW, "key")}
    switch(store, NEW)
    switch(store, NEWEST, NOW + 1)
    assert redigest(store, rows, NEW_ID) == 0
    assert peppers_of_keys(store) == {"key": OLD_ID}


def test_no_more_is_noted_than_one_transaction_should_write(store: Store) -> None:
    digests = [add(store, f"key {number}") for number in range(3)]
    switch(store, NEW)
    redigests = Redigests(NEW)
    for number in range(MAX_NOTED):
        redigests.note(b"of no key %d" % number, b"new %d" % number)
    redigests.note(digests[0], b"beyond")
    assert redigests.flush(store) == 0
    redigests.note(digests[0], b"again")
    assert redigests.flush(store) == 1
