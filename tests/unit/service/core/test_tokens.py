"""Whom verified claims are about, and when."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.jose import TokenDenial
from service.core.tokens import Identity, Required, Trust, identify, texts_at, validity_of

NOW = 1_800_000_000
TRUST = Trust(
    name="corp",
    issuer="https://issuer.example.org",
    audiences=frozenset({"models", "models-eu"}),
    leeway_s=30,
    max_age_s=3600,
    project=("groups",),
    projects={"search-team": "search", "chat-team": "chat"},
    entitlement=("groups",),
    entitlements={
        "vetted": frozenset({"identity_verified"}),
        "lab": frozenset({"trusted_access", "named_user"}),
    },
    role=("realm_access", "roles"),
    roles={"wg-view": "viewer", "wg-ops": "operator", "wg-all": "admin"},
)


def claims(**more: object) -> dict[str, Any]:
    given = {"iss": TRUST.issuer, "aud": "models", "sub": "alice", "iat": NOW, "exp": NOW + 600,
             "groups": ["search-team"], **more}  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def who(trust: Trust = TRUST, **more: object) -> Identity:
    found = identify(trust, claims(**more))
    assert isinstance(found, Identity), found
    return found


def why(trust: Trust = TRUST, **more: object) -> TokenDenial:
    found = identify(trust, claims(**more))
    assert isinstance(found, TokenDenial), found
    return found


def test_claims_name_a_subject_and_through_the_maps_what_it_may() -> None:
    found = who(groups=["search-team", "vetted", "others"], realm_access={"roles": ["wg-ops"]})
    assert found == Identity(
        "corp", "alice", NOW - 30, NOW + 630, "search", frozenset({"identity_verified"}), "operator"
    )


@pytest.mark.parametrize("issuer", ["https://issuer.example.org/", "HTTPS://issuer.example.org"])
def test_the_issuer_must_be_the_same_to_the_letter(issuer: str) -> None:
    assert why(iss=issuer) is TokenDenial.WRONG_ISSUER


@pytest.mark.parametrize("issuer", [None, 1, [TRUST.issuer], {}])
def test_an_issuer_is_a_text(issuer: object) -> None:
    assert why(iss=issuer) is TokenDenial.WRONG_ISSUER


@pytest.mark.parametrize(
    ("audience", "calls", "administers"),
    [
        ("models", True, False),
        ("admin", False, True),
        (["admin", "models-eu"], True, True),
    ],
)
def test_administrators_may_have_an_audience_of_their_own(
    audience: object, calls: bool, administers: bool
) -> None:
    trust = replace(TRUST, admin_audiences=frozenset({"admin"}))
    found = who(trust, aud=audience, realm_access={"roles": ["wg-all"]})
    assert (found.project is not None, found.role is not None) == (calls, administers)
    assert why(trust, aud="other") is TokenDenial.WRONG_AUDIENCE
    assert why(aud="admin") is TokenDenial.WRONG_AUDIENCE


@pytest.mark.parametrize("audience", ["models", ["models"], ["other", "models-eu"]])
def test_one_of_the_audiences_must_be_ours(audience: object) -> None:
    assert who(aud=audience).subject == "alice"


@pytest.mark.parametrize(
    "audience", [None, "", "model", "models ", [], ["other"], [["models"]], {"models": 1}, 1, True]
)
def test_a_token_for_another_audience_is_refused(audience: object) -> None:
    assert why(aud=audience) is TokenDenial.WRONG_AUDIENCE


def test_an_expiry_counts_from_its_instant_and_the_leeway_on() -> None:
    found = who(exp=NOW + 600)
    assert found.denial_at(NOW + 629.9) is None
    assert found.denial_at(NOW + 630) is TokenDenial.EXPIRED
    strict = who(replace(TRUST, leeway_s=0), exp=NOW + 600)
    assert strict.denial_at(NOW + 599.9) is None
    assert strict.denial_at(NOW + 600) is TokenDenial.EXPIRED
    assert strict.denial_at(NOW + 601) is TokenDenial.EXPIRED


def test_a_token_counts_from_its_nbf_and_its_iat_on_less_the_leeway() -> None:
    found = who(nbf=NOW + 100)
    assert found.denial_at(NOW + 69.9) is TokenDenial.NOT_YET_VALID
    assert found.denial_at(NOW + 70) is None
    future = who(iat=NOW + 100, nbf=NOW)
    assert future.denial_at(NOW) is TokenDenial.NOT_YET_VALID
    assert future.denial_at(NOW + 70) is None


def test_a_token_that_lives_for_longer_than_allowed_is_refused() -> None:
    assert who(exp=NOW + 3600).subject == "alice"
    assert why(exp=NOW + 3601) is TokenDenial.TOO_LONG_LIVED


@pytest.mark.parametrize("name", ["exp", "iat"])
@pytest.mark.parametrize(
    "value", [None, "1800000600", True, -1, 1e300, float("inf"), [NOW], NOW * 1000, 10**400]
)
def test_times_are_unix_seconds_and_must_be_there(name: str, value: object) -> None:
    assert why(TRUST, **{name: value}) is TokenDenial.MALFORMED


def test_a_nbf_that_is_no_time_is_refused() -> None:
    assert why(nbf="now") is TokenDenial.MALFORMED


def test_times_may_have_fractions() -> None:
    assert validity_of({"iat": 1.5, "exp": 2.5}, 1, 10) == (0.5, 3.5)


@pytest.mark.parametrize("subject", [None, "", 7, ["alice"], "a" * 257, "a\nb", "a\x00", "a\u2028"])
def test_a_subject_is_a_text_that_can_be_printed(subject: object) -> None:
    assert why(sub=subject) is TokenDenial.MALFORMED


@pytest.mark.parametrize(
    ("groups", "project"),
    [
        ("chat-team", "chat"),
        (["chat-team", "chat-team", "others"], "chat"),
        (["others"], None),
        ([], None),
        (None, None),
        (["search-team", "chat-team"], None),
        ("search", None),
        ({"search-team": 1}, None),
        (1, None),
    ],
)
def test_a_project_is_the_one_that_the_map_has(groups: object, project: str | None) -> None:
    assert who(groups=groups).project == project


def test_only_an_explicit_asterisk_lets_a_claim_name_any_project() -> None:
    free = replace(TRUST, project=("project",), projects={"*": "*"})
    assert who(free, project="anything").project == "anything"
    fixed = replace(TRUST, project=("project",), projects={"*": "guests", "boss": "board"})
    assert who(fixed, project=["x", "y"]).project == "guests"
    assert who(fixed, project="boss").project == "board"
    assert who(fixed, project=None).project is None


def test_an_asterisk_in_a_claim_means_nothing() -> None:
    assert who(groups="*").project is None
    mapped = replace(TRUST, projects={"a": "a"})
    assert who(mapped, groups="*").project is None


def test_entitlements_add_up_and_only_mapped_ones_count() -> None:
    found = who(groups=["search-team", "vetted", "lab", "trusted_access", "admin"])
    assert found.entitlements == {"identity_verified", "trusted_access", "named_user"}
    assert who(entitlements=["trusted_access"]).entitlements == frozenset()


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["wg-view"], "viewer"),
        (["wg-ops", "wg-all", "wg-view"], "admin"),
        (["admin"], None),
        ("wg-all", "admin"),
        ({"wg-all": True}, None),
    ],
)
def test_a_role_comes_through_the_map_alone(roles: object, role: str | None) -> None:
    assert who(realm_access={"roles": roles}).role == role


def test_without_a_claim_for_roles_nobody_has_one() -> None:
    assert who(replace(TRUST, role=(), roles={"alice": "admin"})).role is None


@pytest.mark.parametrize(
    ("required", "more"),
    [
        (Required(("org",)), {"org": "x"}),
        (Required(("org",), frozenset({"us", "them"})), {"org": ["them"]}),
        (Required(("email_verified",), frozenset({"true"})), {"email_verified": True}),
        (Required(("level",), frozenset({"3"})), {"level": 3}),
        (Required(("kubernetes.io", "namespace"), frozenset({"ml"})),
         {"kubernetes.io": {"namespace": "ml"}}),
    ],
)  # fmt: skip
def test_a_required_claim_lets_in_and_keeps_out(required: Required, more: dict[str, Any]) -> None:
    trust = replace(TRUST, required=(required,))
    assert who(trust, **more).subject == "alice"
    assert why(trust) is TokenDenial.CLAIM_REFUSED
    if required.values:
        assert why(trust, **dict.fromkeys(more, "else")) is TokenDenial.CLAIM_REFUSED


def test_what_is_no_text_whole_number_or_truth_value_is_not_there() -> None:
    assert texts_at({"a": [1, "b", None, 1.5, {"c": 1}, ["d"], True]}, ("a",)) == ("1", "b", "true")
    assert texts_at({"a": "b"}, ("a", "b")) == ()
    assert texts_at({"a": {"b": "c"}}, ("a", "b")) == ("c",)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(claims())), anything), st.sets(st.text(max_size=4)))
@settings(max_examples=200)
def test_whatever_claims_say_only_mapped_projects_come_out(
    more: dict[str, Any], extra: set[str]
) -> None:
    found = identify(TRUST, {**claims(), "groups": [*extra, "search-team"], **more})
    if isinstance(found, Identity):
        assert found.project in {None, "search", "chat"}
        assert found.entitlements <= {"identity_verified", "trusted_access", "named_user"}
        assert found.valid_until - found.valid_from <= TRUST.max_age_s + 2 * TRUST.leeway_s
