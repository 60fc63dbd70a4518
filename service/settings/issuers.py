"""What is wrong between the settings of issuers that are right each by itself."""

from collections.abc import Iterator

from service.identity.fetch import is_private_way
from service.settings.auth import Issuer
from service.settings.mistakes import Mistake, Where
from service.settings.sections import Settings


def check_issuers(settings: Settings) -> Iterator[Mistake]:
    """Yield issuers that cannot be told apart, reached, or that are good for nothing."""
    for i, issuer in enumerate(settings.auth.issuers):
        where = ("auth", "issuers", i)
        yield from _check_twice(settings.auth.issuers[:i], issuer, where)
        yield from _check_place(issuer, where)
        yield from _check_pace(issuer, where)
        yield from _check_maps(issuer, where)


def _check_twice(before: tuple[Issuer, ...], issuer: Issuer, where: Where) -> Iterator[Mistake]:
    for key in ("name", "issuer"):
        taken = [getattr(other, key) for other in before]
        if (value := getattr(issuer, key)) in taken:
            first = f"auth.issuers[{taken.index(value)}]"
            yield Mistake((*where, key), f"is already that of {first}: each issuer comes once")


def _check_place(issuer: Issuer, where: Where) -> Iterator[Mistake]:
    if issuer.jwks_url and issuer.jwks_file:
        yield Mistake((*where, "jwks_file"), "either jwks_url or jwks_file, not both")
    if not (issuer.jwks_url or issuer.jwks_file or is_private_way(issuer.issuer)):
        yield Mistake(
            (*where, "jwks_url"),
            "required, or jwks_file, where the issuer is no address with https:// that could be "
            "asked for its configuration",
        )
    if issuer.bearer_file and not issuer.jwks_url:
        yield Mistake((*where, "bearer_file"), "needs jwks_url, the only place where it is shown")
    if issuer.ca_file and issuer.jwks_file:
        yield Mistake((*where, "ca_file"), "is for an address; the keys come from jwks_file")


def _check_pace(issuer: Issuer, where: Where) -> Iterator[Mistake]:
    if issuer.max_stale_s <= issuer.refresh_s:
        yield Mistake(
            (*where, "max_stale_s"),
            "must be over refresh_s: keys would be given up before they are read again",
        )


def _check_maps(issuer: Issuer, where: Where) -> Iterator[Mistake]:
    for claim, key in (
        ("project", "projects"),
        ("roles", "role_map"),
        ("entitlements", "entitlement_map"),
    ):
        has_claim, has_map = getattr(issuer.claims, claim) is not None, bool(getattr(issuer, key))
        if has_claim and not has_map:
            yield Mistake((*where, key), f"required where claims.{claim} is set: nothing else maps")
        if has_map and not has_claim:
            yield Mistake((*where, "claims", claim), f"required where {key} is set")
    if issuer.claims.project is None and issuer.claims.roles is None:
        yield Mistake(
            (*where, "claims"),
            "its tokens are good for nothing: name the claim of the project, of roles, or both",
        )
