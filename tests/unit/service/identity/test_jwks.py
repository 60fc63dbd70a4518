"""How an issuer's keys are kept fresh."""

from service.core.jose import TokenDenial
from service.errors import KeysNotRead
from service.identity.jwks import IssuerKeys, Pace
from service.identity.keys import PublicKey
from tests.real_parts.jwks import signing_key
from tests.unit.service.identity.issuers import Shelf, keys_of

OLD, NEW = signing_key("ES256", "old"), signing_key("ES256", "new")
DEADLINE_S = 20.0


def found(keys: IssuerKeys, key_id: str) -> PublicKey:
    key = keys.find(key_id, "ES256")
    assert isinstance(key, PublicKey), key
    return key


def test_before_the_first_look_no_key_is_known() -> None:
    assert keys_of(Shelf(OLD)).find("old", "ES256") is TokenDenial.KEYS_AWAY


def test_a_refresh_brings_new_keys_and_ends_those_that_are_gone() -> None:
    shelf = Shelf(OLD)
    keys = keys_of(shelf)
    assert keys.refresh()
    old = found(keys, "old")
    assert keys.find("new", "ES256") is TokenDenial.UNKNOWN_KEY
    shelf.put(NEW)
    assert keys.refresh()
    assert keys.denial_of(found(keys, "new"), "ES256") is None
    assert keys.find("old", "ES256") is TokenDenial.UNKNOWN_KEY
    assert keys.denial_of(old, "ES256") is TokenDenial.UNKNOWN_KEY


def test_another_key_under_the_same_name_ends_the_one_before() -> None:
    shelf = Shelf(OLD)
    keys = keys_of(shelf)
    keys.refresh()
    old = found(keys, "old")
    shelf.put(NEW.jwk(kid="old"))
    keys.refresh()
    assert keys.denial_of(old, "ES256") is TokenDenial.UNKNOWN_KEY


def test_the_last_good_keys_are_kept_while_the_issuer_is_away_but_not_for_ever() -> None:
    now, outcomes, shelf = [1000.0], list[str](), Shelf(OLD)
    pace = Pace(max_stale_s=60)
    keys = keys_of(shelf, pace=pace, outcomes=outcomes, ticks=lambda: now[0])
    keys.refresh()
    old = found(keys, "old")
    for failure in (KeysNotRead("unreachable"), ValueError("whatever comes")):
        shelf.document = failure
        assert not keys.refresh()
    shelf.document = b"<html>come in</html>"
    assert not keys.refresh()
    now[0] = 1059.9
    assert found(keys, "old") == old
    now[0] = 1060.0
    assert keys.find("old", "ES256") is TokenDenial.KEYS_AWAY
    assert keys.denial_of(old, "ES256") is TokenDenial.KEYS_AWAY
    shelf.put(OLD)
    assert keys.refresh()
    assert keys.denial_of(old, "ES256") is None
    assert outcomes == ["ok", "unreachable", "failed", "malformed", "ok"]


def test_a_thread_looks_at_once_and_again_when_an_unknown_key_is_named() -> None:
    shelf = Shelf(OLD)
    with keys_of(shelf, pace=Pace(refresh_s=3600, retry_s=0.01)) as keys:
        assert keys.wait(DEADLINE_S)
        found(keys, "old")
        shelf.put(OLD, NEW)
        _until_known(keys, "new")


def test_whoever_names_keys_at_random_causes_one_look_and_no_more() -> None:
    shelf = Shelf(OLD)
    with keys_of(shelf, pace=Pace(refresh_s=3600, retry_s=3600)) as keys:
        assert keys.wait(DEADLINE_S)
        for i in range(1000):
            assert keys.find(f"random-{i}", "ES256") is TokenDenial.UNKNOWN_KEY
        assert shelf.asked == 1


def test_a_thread_tries_again_until_the_issuer_is_there() -> None:
    shelf = Shelf()
    shelf.document = KeysNotRead("unreachable")
    with keys_of(shelf, pace=Pace(refresh_s=3600, retry_s=0.01)) as keys:
        assert keys.wait(DEADLINE_S)
        assert keys.find("old", "ES256") is TokenDenial.KEYS_AWAY
        shelf.put(OLD)
        _until_known(keys, "old")


def _until_known(keys: IssuerKeys, key_id: str) -> None:
    """Ask until a key is known; the test's own time limit ends this."""
    while isinstance(keys.find(key_id, "ES256"), TokenDenial):
        keys.wait(DEADLINE_S)
