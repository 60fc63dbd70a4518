from hypothesis import given
from hypothesis import strategies as st

from service.core.callers import is_project_name
from service.core.end_users import end_user_account

SECRET = b"s" * 32
names = st.text(min_size=1, max_size=20)


@given(names, names, names, names)
def test_two_end_users_share_an_account_only_if_all_is_the_same(
    project: str, user: str, other_project: str, other_user: str
) -> None:
    one = end_user_account(SECRET, project, user)
    other = end_user_account(SECRET, other_project, other_user)
    assert (one == other) == ((project, user) == (other_project, other_user))


@given(names)
def test_an_account_tells_its_project_and_no_name(user: str) -> None:
    project, separator, rest = end_user_account(SECRET, "search", user).partition("/")
    assert (project, separator, len(rest)) == ("search", "/", 24)
    assert not is_project_name(f"search/{rest}")


def test_another_secret_makes_other_accounts() -> None:
    assert end_user_account(SECRET, "p", "u") != end_user_account(b"t" * 32, "p", "u")
