import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.callers import (
    Caller,
    Denial,
    authenticate,
    digest_key,
    is_project_name,
    make_key,
    make_key_id,
    visible_prefix,
)
from service.core.directory import KnownKey, Organisation, Project, ServiceAccount, Snapshot

PEPPER = b"a pepper for the tests"
NOW = 1_000_000.0
CALLER = Caller("key_1", "search", account="search")
KEY = make_key(bytes(range(32)))
PROJECT = Project("search")
ORGANISATION = Organisation("default")
ACCOUNT = ServiceAccount("sa_1", "search", "nightly")


def presented(
    key: str, *, expires_at: float | None = None, revoked_at: float | None = None
) -> Caller | Denial:
    known = KnownKey("key_1", "search", expires_at=expires_at, revoked_at=revoked_at)
    return authenticate(directory(known), digest_key(PEPPER, key), NOW)


def directory(
    key: KnownKey,
    *,
    project: Project = PROJECT,
    organisation: Organisation = ORGANISATION,
    account: ServiceAccount = ACCOUNT,
) -> Snapshot:
    return Snapshot(
        keys={digest_key(PEPPER, KEY): key},
        organisations={organisation.name: organisation},
        projects={project.name: project},
        service_accounts={account.id: account},
    )


def found(snapshot: Snapshot) -> Caller | Denial:
    return authenticate(snapshot, digest_key(PEPPER, KEY), NOW)


def test_a_key_proves_nothing_while_who_owns_it_is_disabled() -> None:
    key = KnownKey("key_1", "search", "sa_1")
    disabled = (
        directory(key, project=Project("search", disabled=True)),
        directory(key, organisation=Organisation("default", disabled=True)),
        directory(key, account=ServiceAccount("sa_1", "search", "nightly", disabled=True)),
    )
    assert [found(snapshot) for snapshot in disabled] == [Denial.DISABLED] * 3


def test_a_key_of_a_service_account_that_nobody_knows_proves_nothing() -> None:
    assert found(directory(KnownKey("key_1", "search", "sa_gone"))) is Denial.DISABLED


def test_a_key_of_a_project_that_is_not_known_is_not_known() -> None:
    assert found(directory(KnownKey("key_1", "another"))) is Denial.UNKNOWN


def test_entitlements_of_owners_add_up() -> None:
    caller = found(
        directory(
            KnownKey("key_1", "search", "sa_1"),
            project=Project("search", entitlements=frozenset({"a"})),
            organisation=Organisation("default", entitlements=frozenset({"b"})),
            account=ServiceAccount("sa_1", "search", "nightly", frozenset({"c"})),
        )
    )
    assert isinstance(caller, Caller)
    assert caller.entitlements == {"a", "b", "c"}


def test_a_known_key_says_who_calls() -> None:
    assert presented(KEY) == CALLER


def test_an_unknown_key_proves_nothing() -> None:
    assert presented(make_key(bytes(32))) is Denial.UNKNOWN


def test_a_key_ends_at_the_instant_of_its_expiry() -> None:
    assert presented(KEY, expires_at=NOW + 0.001) == CALLER
    assert presented(KEY, expires_at=NOW) is Denial.EXPIRED


def test_a_revoked_key_is_refused_as_revoked_even_when_it_has_expired() -> None:
    assert presented(KEY, expires_at=NOW - 1, revoked_at=NOW - 2) is Denial.REVOKED


@given(st.text())
def test_any_text_but_the_key_is_unknown(text: str) -> None:
    assert (presented(text) == CALLER) == (text == KEY)


def test_a_text_that_is_no_unicode_is_unknown() -> None:
    assert presented(f"{KEY}\udcff") is Denial.UNKNOWN


def test_the_digest_depends_on_the_pepper() -> None:
    assert digest_key(PEPPER, KEY) != digest_key(b"another", KEY)
    assert len(digest_key(PEPPER, KEY)) == 32


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_keys_have_one_shape_and_differ_when_their_entropy_does(one: bytes, other: bytes) -> None:
    key = make_key(one)
    assert key.startswith("sk-wg-")
    assert len(key) == 6 + 43
    assert visible_prefix(key) == key[:12]
    assert (key == make_key(other)) == (one == other)


@pytest.mark.parametrize("entropy", [b"", bytes(31), bytes(33)])
def test_a_key_is_not_made_of_less_or_more_entropy(entropy: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        make_key(entropy)
    with pytest.raises(ValueError, match="9 bytes"):
        make_key_id(entropy)


@pytest.mark.parametrize("name", ["a", "Search", "a.b_c-d", "0", "x" * 63])
def test_project_names_that_are_taken(name: str) -> None:
    assert is_project_name(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ä", "a\n", "x" * 64])
def test_project_names_that_are_refused(name: str) -> None:
    assert not is_project_name(name)
