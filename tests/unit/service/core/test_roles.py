"""Roles and admin tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.admin_tokens import (
    PREFIX_CHARS,
    TOKEN_ENTROPY_BYTES,
    digest_token,
    is_token,
    make_token,
    visible_prefix,
)
from service.core.callers import digest_key
from service.core.roles import ROLES, Permission, Role, holders, may

PEPPER = b"a pepper for the tests"


def test_every_permission_is_in_the_table_and_the_admin_holds_each() -> None:
    assert set(ROLES) == set(Permission)
    assert all(may(Role.ADMIN, permission) for permission in Permission)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST, Role.OPERATOR])
def test_no_lesser_role_makes_administrators_or_opens_models(role: Role) -> None:
    assert not may(role, Permission.WRITE_TOKENS)
    assert not may(role, Permission.WRITE_ENTITLEMENTS)


def test_a_viewer_changes_nothing() -> None:
    assert [it for it in Permission if may(Role.VIEWER, it)] == [Permission.READ]


def test_operators_read_neither_content_nor_who_did_what() -> None:
    assert not may(Role.OPERATOR, Permission.READ_CONTENT)
    assert not may(Role.OPERATOR, Permission.READ_AUDIT)


def test_a_permission_names_who_holds_it() -> None:
    assert holders(Permission.WRITE_STANDING) == "analyst, operator, admin"


@given(st.binary(min_size=TOKEN_ENTROPY_BYTES, max_size=TOKEN_ENTROPY_BYTES))
def test_every_token_that_is_made_is_known_for_one(entropy: bytes) -> None:
    token = make_token(entropy)
    assert is_token(token)
    assert len(token) == len("wg-admin-") + 43
    assert visible_prefix(token) == token[:PREFIX_CHARS]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_token_is_made_of_256_bits(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        make_token(bytes(size))


@given(st.text())
def test_a_digest_of_a_token_is_never_that_of_a_key(text: str) -> None:
    assert digest_token(PEPPER, text) != digest_key(PEPPER, text)


@pytest.mark.parametrize(
    "text", ["", "wg-admin-", make_token(bytes(32)) + "\n", "sk-wg-" + "a" * 43]
)
def test_what_has_not_the_shape_of_a_token_is_none(text: str) -> None:
    assert not is_token(text)
