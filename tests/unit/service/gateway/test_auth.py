"""Whose key a request carries."""

from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.core.callers import Caller, digest_key
from service.core.directory import KnownKey, Organisation, Project, Snapshot
from service.errors import InvalidApiKey
from service.gateway.auth import Authenticator
from service.gateway.meters import Meters
from service.store import load_snapshot, open_store
from service.store.keys import StoredKey, add_key
from service.store.pepper import pepper_in_use
from service.telemetry.metrics import Metrics

PEPPER = b"p" * 32
CALLER = Caller("key_1", "project", "project")
NOW = 1000.0


def make() -> tuple[Authenticator, CollectorRegistry]:
    registry = CollectorRegistry()
    authenticator = Authenticator(PEPPER, Meters(Metrics(registry)))
    known = {
        "good": KnownKey("key_1", "project"),
        "late": KnownKey("key_2", "project", expires_at=NOW),
        "gone": KnownKey("key_3", "project", revoked_at=1.0),
    }
    authenticator.snapshot = Snapshot(
        keys={digest_key(PEPPER, "sk-" + name): key for name, key in known.items()},
        organisations={"default": Organisation("default")},
        projects={"project": Project("project")},
    )
    return authenticator, registry


def who(authenticator: Authenticator, fields: dict[bytes, bytes]) -> Caller:
    return authenticator.authenticate(authenticator.digest(fields), NOW)


@pytest.mark.parametrize("value", [b"Bearer sk-good", b"bearer sk-good", b"BEARER   sk-good "])
def test_a_known_key_tells_its_caller(value: bytes) -> None:
    authenticator, _ = make()
    assert who(authenticator, {b"authorization": value}) == CALLER


def test_a_key_may_come_as_anthropics_clients_send_it() -> None:
    authenticator, _ = make()
    assert who(authenticator, {b"x-api-key": b" sk-good "}) == CALLER
    both = {b"x-api-key": b"sk-good", b"authorization": b"Bearer sk-good"}
    assert who(authenticator, both) == CALLER


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({b"x-api-key": b"sk-bad"}, "not known"),
        ({b"x-api-key": b""}, "not known"),
        ({b"x-api-key": b"sk-good", b"authorization": b"Bearer sk-late"}, "different keys"),
        ({b"x-api-key": b"sk-good", b"authorization": b"Basic x"}, "Bearer KEY"),
    ],
)
def test_a_key_in_two_fields_must_be_the_same(fields: dict[bytes, bytes], word: str) -> None:
    authenticator, _ = make()
    with pytest.raises(InvalidApiKey, match=word):
        who(authenticator, fields)


@pytest.mark.parametrize(
    ("value", "reason", "word"),
    [
        (None, "missing", "Bearer KEY"),
        (b"", "malformed", "Bearer KEY"),
        (b"sk-good", "malformed", "Bearer KEY"),
        (b"Basic sk-good", "malformed", "Bearer KEY"),
        (b"Bearer", "malformed", "Bearer KEY"),
        (b"Bearer ", "unknown", "not known"),
        (b"Bearer sk-Good", "unknown", "not known"),
        (b"Bearer \xff\xfe", "unknown", "not known"),
        (b"Bearer sk-late", "expired", "expired"),
        (b"Bearer sk-gone", "revoked", "revoked"),
    ],
)
def test_any_other_key_is_refused_with_a_reason_that_is_counted(
    value: bytes | None, reason: str, word: str
) -> None:
    authenticator, registry = make()
    fields = {} if value is None else {b"authorization": value}
    with pytest.raises(InvalidApiKey, match=word):
        who(authenticator, fields)
    labels = {"reason": reason}
    assert registry.get_sample_value("watchgate_auth_failures_total", labels) == 1


def test_before_the_first_snapshot_nobody_is_known() -> None:
    authenticator = Authenticator(PEPPER, Meters(Metrics(CollectorRegistry())))
    with pytest.raises(InvalidApiKey):
        who(authenticator, {b"authorization": b"Bearer sk-good"})


def test_a_key_is_found_under_any_pepper_and_its_new_digest_is_noted(tmp_path: Path) -> None:
    older, newer = b"o" * 32, b"n" * 32
    authenticator = Authenticator(newer, Meters(Metrics(CollectorRegistry())), [PEPPER, older])
    authenticator.snapshot = make()[0].snapshot
    fields = {b"authorization": b"Bearer sk-good"}
    digests = authenticator.digest(fields)
    assert digests == tuple(digest_key(pepper, "sk-good") for pepper in (newer, PEPPER, older))
    assert authenticator.authenticate(digests, NOW) == CALLER
    with closing(open_store(f"sqlite:///{tmp_path}/watchgate.db")) as store:
        pepper_in_use(store, [newer])
        with store.begin() as connection:
            add_key(connection, StoredKey("key_1", "project", "sk-", 1.0, "tests"), digests[1])
        assert authenticator.redigests.flush(store) == 1
        authenticator.snapshot = load_snapshot(store, NOW)
        assert authenticator.authenticate(digests, NOW) == CALLER
        assert authenticator.redigests.flush(store) == 0


@pytest.mark.parametrize(("key", "word"), [(b"sk-gone", "revoked"), (b"sk-bad", "not known")])
def test_a_key_that_proves_nothing_does_not_under_a_previous_pepper_either(
    key: bytes, word: str
) -> None:
    authenticator = Authenticator(b"n" * 32, Meters(Metrics(CollectorRegistry())), [PEPPER])
    authenticator.snapshot = make()[0].snapshot
    with pytest.raises(InvalidApiKey, match=word):
        who(authenticator, {b"x-api-key": key})
