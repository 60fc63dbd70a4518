"""Administrators by tokens."""

from concurrent.futures import ThreadPoolExecutor

from service.core.jose import TokenDenial
from service.core.roles import Admin, Role
from service.identity.admins import OidcAdmins
from service.identity.verifier import TokenVerifier
from tests.real_parts.jwks import signing_key
from tests.unit.service.identity.issuers import NOW, claims, issuer_with

KEY = signing_key("ES256")


def make() -> tuple[OidcAdmins, list[str]]:
    denials: list[str] = []
    return OidcAdmins(TokenVerifier([issuer_with(KEY)]), denials.append), denials


def test_a_token_with_a_role_is_an_administrator() -> None:
    admins, denials = make()
    token = KEY.sign(claims(roles=["wg-view", "wg-admin"]))
    assert admins.authenticate(token, NOW) == Admin("oidc:corp/alice", Role.ADMIN)
    assert denials == []


def test_a_token_of_a_caller_is_no_administrator() -> None:
    admins, denials = make()
    assert admins.authenticate(KEY.sign(claims()), NOW) is None
    assert admins.authenticate(KEY.sign(claims(roles="admin")), NOW) is None
    assert denials == [TokenDenial.NOT_MAPPED] * 2


def test_an_administrators_token_expires() -> None:
    admins, denials = make()
    token = KEY.sign(claims(roles="wg-view"))
    assert admins.authenticate(token, NOW) == Admin("oidc:corp/alice", Role.VIEWER)
    assert admins.authenticate(token, NOW + 700) is None
    assert admins.authenticate(token + "A", NOW) is None
    assert denials == [TokenDenial.EXPIRED, TokenDenial.BAD_SIGNATURE]


def test_what_is_no_token_is_left_to_others() -> None:
    admins, denials = make()
    assert admins.authenticate("wgadm_0123456789", NOW) is None
    assert denials == []


def test_threads_may_ask_at_the_same_time() -> None:
    admins = OidcAdmins(TokenVerifier([issuer_with(KEY)], max_remembered=1), lambda _: None)
    tokens = [KEY.sign(claims(sub=f"admin-{i}", roles="wg-admin")) for i in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda token: admins.authenticate(token, NOW), tokens * 100))
    assert found == [Admin(f"oidc:corp/admin-{i}", Role.ADMIN) for i in range(4)] * 100
