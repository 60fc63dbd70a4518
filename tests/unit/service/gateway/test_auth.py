"""Whose key or token a request carries."""

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.core.callers import KEY_START, Caller, digest_key
from service.core.directory import KnownKey, Organisation, Project, Snapshot
from service.core.jose import TokenDenial
from service.errors import InvalidApiKey, SafeguardInactive
from service.gateway.auth import _WORDS, Authenticator, TokenProof
from service.gateway.meters import Meters
from service.identity.verifier import Issuer, TokenVerifier
from service.store import load_snapshot, open_store
from service.store.keys import StoredKey, add_key
from service.store.pepper import pepper_in_use
from service.telemetry.metrics import Metrics
from tests.real_parts.jwks import signing_key
from tests.unit.service.identity.issuers import NOW as TOKEN_NOW
from tests.unit.service.identity.issuers import TRUST, Shelf, claims, issuer_with, keys_of

PEPPER = b"p" * 32
CALLER = Caller("key_1", "project", "project")
NOW = 1000.0


def make(tokens: TokenVerifier | None = None) -> tuple[Authenticator, CollectorRegistry]:
    registry = CollectorRegistry()
    authenticator = Authenticator([PEPPER], Meters(Metrics(registry)), tokens)
    known = {
        "good": KnownKey("key_1", "project"),
        "late": KnownKey("key_2", "project", expires_at=NOW),
        "gone": KnownKey("key_3", "project", revoked_at=1.0),
    }
    authenticator.use(
        Snapshot(
            revision=1,
            keys={digest_key(PEPPER, "sk-" + name): key for name, key in known.items()},
            organisations={"default": Organisation("default")},
            projects={"project": Project("project"), "search": Project("search")},
        )
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


def test_while_no_key_is_known_at_all_no_key_is_called_unknown() -> None:
    authenticator, registry = make()
    authenticator.use(Snapshot())
    with pytest.raises(SafeguardInactive, match="the store has not been read yet"):
        who(authenticator, {b"x-api-key": b"sk-good"})
    labels = {"reason": "unknown"}
    assert not registry.get_sample_value("watchgate_auth_failures_total", labels)


SIGNER = signing_key("ES256")


def bearer(token: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + token.encode()}


def test_a_token_tells_its_caller_and_its_subject_has_an_id_that_names_nobody() -> None:
    entitled = {
        "entitlement": ("team",),
        "entitlements": {"search-team": frozenset({"named_user"})},
    }
    authenticator, _ = make(TokenVerifier([issuer_with(SIGNER, **entitled)]))
    ids = set()
    for subject, lives_s in (("alice", 60), ("alice", 90), ("bob", 60)):
        token = SIGNER.sign(claims(sub=subject, exp=TOKEN_NOW + lives_s))
        caller = authenticator.authenticate(authenticator.digest(bearer(token)), TOKEN_NOW)
        assert (caller.project, caller.organisation) == ("search", "default")
        assert caller.entitlements == {"named_user"}
        ids.add(caller.key_id)
    assert len(ids) == 2
    assert all(re.fullmatch("jwt:corp:[0-9a-f]{16}", id_) for id_ in ids)
    other = Authenticator([PEPPER], Meters(Metrics(CollectorRegistry())), authenticator._tokens)
    other.use(Snapshot(revision=1, end_user_secret=b"of another store"))
    proof = other.digest(bearer(token))
    assert isinstance(proof, TokenProof)
    assert proof.key_id not in ids


def test_while_the_store_has_not_been_read_no_subject_gets_an_id() -> None:
    authenticator, _ = make(TokenVerifier([issuer_with(SIGNER)]))
    fields, known = bearer(SIGNER.sign(claims())), authenticator.snapshot
    authenticator.use(Snapshot())
    with pytest.raises(SafeguardInactive, match="the store has not been read yet"):
        authenticator.digest(fields)
    authenticator.use(known)
    assert isinstance(authenticator.digest(fields), TokenProof)


def test_what_a_token_may_reach_is_asked_of_the_current_snapshot() -> None:
    authenticator, registry = make(TokenVerifier([issuer_with(SIGNER)]))
    proof = authenticator.digest(bearer(SIGNER.sign(claims())))
    authenticator.authenticate(proof, TOKEN_NOW)
    known = authenticator.snapshot
    for projects, word, reason in (
        ({"search": Project("search", disabled=True)}, "disabled", "disabled"),
        ({}, "project is not known", "token_unknown_project"),
    ):
        authenticator.use(replace(known, projects=projects))
        with pytest.raises(InvalidApiKey, match=word):
            authenticator.authenticate(proof, TOKEN_NOW)
        labels = {"reason": reason}
        assert registry.get_sample_value("watchgate_auth_failures_total", labels) == 1
    authenticator.use(known)
    with pytest.raises(InvalidApiKey, match="expired"):
        authenticator.authenticate(proof, TOKEN_NOW + 700)


def test_while_an_issuers_keys_are_away_its_tokens_may_be_tried_again() -> None:
    tokens = TokenVerifier([Issuer(TRUST, keys_of(Shelf(SIGNER)))])
    authenticator, registry = make(tokens)
    with pytest.raises(SafeguardInactive, match="'authentication'"):
        authenticator.digest(bearer(SIGNER.sign(claims())))
    labels = {"reason": "token_keys_away"}
    assert registry.get_sample_value("watchgate_auth_failures_total", labels) == 1


def test_without_issuers_a_token_is_a_key_that_nobody_knows() -> None:
    authenticator, _ = make()
    with pytest.raises(InvalidApiKey, match="key is not known"):
        who(authenticator, bearer(SIGNER.sign(claims())))


def test_what_begins_like_a_key_is_never_taken_for_a_token() -> None:
    authenticator, _ = make(TokenVerifier([issuer_with(SIGNER)]))
    with pytest.raises(InvalidApiKey, match="key is not known"):
        who(authenticator, bearer(f"{KEY_START}a.b.c"))


@pytest.mark.parametrize("reason", TokenDenial)
def test_every_reason_is_told_in_words_and_documented(reason: TokenDenial) -> None:
    assert _WORDS[reason].endswith(".")
    document = Path(__file__).resolve().parents[4] / "docs/identity.md"
    assert f"`{reason}`" in document.read_text(encoding="utf-8")


def test_a_key_is_found_under_any_pepper_and_its_new_digest_is_noted(tmp_path: Path) -> None:
    older, newer = b"o" * 32, b"n" * 32
    authenticator = Authenticator([newer, PEPPER, older], Meters(Metrics(CollectorRegistry())))
    authenticator.use(make()[0].snapshot)
    fields = {b"authorization": b"Bearer sk-good"}
    digests = authenticator.digest(fields)
    assert digests == tuple(digest_key(pepper, "sk-good") for pepper in (newer, PEPPER, older))
    assert authenticator.authenticate(digests, NOW) == CALLER
    with closing(open_store(f"sqlite:///{tmp_path}/watchgate.db")) as store:
        pepper_in_use(store, [newer])
        with store.begin() as connection:
            add_key(connection, StoredKey("key_1", "project", "sk-", 1.0, "tests"), digests[1])
        assert authenticator.redigests.flush(store) == 1
        authenticator.use(load_snapshot(store, NOW))
        assert authenticator.authenticate(digests, NOW) == CALLER
        assert authenticator.redigests.flush(store) == 0


@pytest.mark.parametrize(("key", "word"), [(b"sk-gone", "revoked"), (b"sk-bad", "not known")])
def test_a_key_that_proves_nothing_does_not_under_a_previous_pepper_either(
    key: bytes, word: str
) -> None:
    authenticator = Authenticator([b"n" * 32, PEPPER], Meters(Metrics(CollectorRegistry())))
    authenticator.use(make()[0].snapshot)
    with pytest.raises(InvalidApiKey, match=word):
        who(authenticator, {b"x-api-key": key})


def test_a_key_that_is_remembered_expires_and_is_forgotten_with_a_newer_snapshot() -> None:
    authenticator, _ = make()
    known, proof = authenticator.snapshot, authenticator.digest({b"x-api-key": b"sk-late"})
    assert authenticator.authenticate(proof, NOW - 1).key_id == "key_2"
    assert authenticator.authenticate(proof, NOW - 1).key_id == "key_2"
    with pytest.raises(InvalidApiKey, match="expired"):
        authenticator.authenticate(proof, NOW)
    authenticator.use(replace(known, keys={}))
    with pytest.raises(InvalidApiKey, match="not known"):
        authenticator.authenticate(proof, NOW - 1)
