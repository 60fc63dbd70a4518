"""Who a token's claims say calls: the claims of a token whose signature was found good."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from service.core.jose import TokenDenial

ROLES: Final = ("viewer", "analyst", "operator", "admin")
"""Of administrators: where claims give several, the last of these counts."""
ANY: Final = "*"
"""In `Trust.projects`: as a claim's value any of them, as a project the one of the same name."""
MAX_SUBJECT_CHARS: Final = 256
_LAST_SECOND: Final = 1e11
"""Times beyond are no Unix seconds: some issuers of home-made tokens write milliseconds."""

ClaimPath = tuple[str, ...]
"""Where a claim is: its name, and the names within it."""


@dataclass(frozen=True, slots=True)
class Required:
    """A claim that a token must have; with values, one of these."""

    claim: ClaimPath
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Trust:
    """What the tokens of one issuer are good for. Claims count only through the maps here."""

    name: str
    """Of ours, for settings, metrics and records."""
    issuer: str
    audiences: frozenset[str]
    leeway_s: float = 30.0
    max_age_s: float = 86400.0
    required: tuple[Required, ...] = ()
    project: ClaimPath = ()
    projects: Mapping[str, str] = field(default_factory=dict)
    """The claim's value → project; see `ANY`."""
    entitlement: ClaimPath = ()
    entitlements: Mapping[str, frozenset[str]] = field(default_factory=dict)
    role: ClaimPath = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    admin_audiences: frozenset[str] = frozenset()
    """A token that is meant for one of these has a role, and for one of `audiences` a project; with
    none of these one that is meant for `audiences` has both."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token is about, and from when until when, in Unix seconds, leeway included."""

    issuer: str
    """The name of ours."""
    subject: str
    valid_from: float
    valid_until: float
    project: str | None = None
    """None: the claims name none, or several."""
    entitlements: frozenset[str] = frozenset()
    role: str | None = None

    def denial_at(self, now: float) -> TokenDenial | None:
        """Say why the token proves nothing at a time; None: it does."""
        if now >= self.valid_until:
            return TokenDenial.EXPIRED
        return TokenDenial.NOT_YET_VALID if now < self.valid_from else None


def identify(trust: Trust, claims: Mapping[str, Any]) -> Identity | TokenDenial:
    """Say whom verified claims are about; whether they are valid now is `Identity.denial_at`'s."""
    if claims.get("iss") != trust.issuer:
        return TokenDenial.WRONG_ISSUER
    meant_for = _audiences(claims.get("aud"))
    calls = not trust.audiences.isdisjoint(meant_for)
    administers = not (trust.admin_audiences or trust.audiences).isdisjoint(meant_for)
    if not (calls or administers):
        return TokenDenial.WRONG_AUDIENCE
    subject = claims.get("sub")
    validity = validity_of(claims, trust.leeway_s, trust.max_age_s)
    if isinstance(validity, TokenDenial):
        return validity
    if not is_subject(subject):
        return TokenDenial.MALFORMED
    if not all(_has(claims, required) for required in trust.required):
        return TokenDenial.CLAIM_REFUSED
    return Identity(
        trust.name,
        subject,
        *validity,
        project=_project(trust, texts_at(claims, trust.project)) if calls else None,
        entitlements=_entitlements(trust, texts_at(claims, trust.entitlement)),
        role=_role(trust, texts_at(claims, trust.role)) if administers else None,
    )


def validity_of(
    claims: Mapping[str, Any], leeway_s: float, max_age_s: float
) -> tuple[float, float] | TokenDenial:
    """Return from when until when claims are valid: `exp` and `iat` must be there, `nbf` may be."""
    issued, expires = claims.get("iat"), claims.get("exp")
    begins = claims.get("nbf", issued)
    if not (_is_time(issued) and _is_time(expires) and _is_time(begins)):
        return TokenDenial.MALFORMED
    if expires - issued > max_age_s:
        return TokenDenial.TOO_LONG_LIVED
    return max(issued, begins) - leeway_s, expires + leeway_s


def is_subject(given: object) -> TypeGuard[str]:
    """Whether it names somebody, in up to 256 characters that can be printed."""
    return isinstance(given, str) and 0 < len(given) <= MAX_SUBJECT_CHARS and given.isprintable()


def texts_at(claims: Mapping[str, Any], path: ClaimPath) -> tuple[str, ...]:
    """Return what a claim holds, as texts: those of a list, or one; nothing: it is not there."""
    found: Any = claims
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return ()
        found = found[name]
    texts = (_text(one) for one in (found if isinstance(found, list) else [found]))
    return tuple(text for text in texts if text is not None)


def _text(value: object) -> str | None:
    """Return a text, or a truth value or whole number as JSON spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else None


def _audiences(given: object) -> frozenset[str]:
    values = given if isinstance(given, list) else [given]
    return frozenset(value for value in values if isinstance(value, str))


def _is_time(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < _LAST_SECOND


def _has(claims: Mapping[str, Any], required: Required) -> bool:
    found = texts_at(claims, required.claim)
    return bool(found) and (not required.values or not required.values.isdisjoint(found))


def _project(trust: Trust, values: tuple[str, ...]) -> str | None:
    """Return the one project that values stand for; a value of its own goes before `ANY`."""
    found = set()
    for value in values:
        name = trust.projects.get(value) if value != ANY else None
        name = trust.projects.get(ANY) if name is None else name
        if name is not None:
            found.add(value if name == ANY else name)
    return found.pop() if len(found) == 1 else None


def _entitlements(trust: Trust, values: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*(trust.entitlements.get(value, frozenset()) for value in values))


def _role(trust: Trust, values: tuple[str, ...]) -> str | None:
    """Return the one that goes before the other roles that values stand for."""
    found = [trust.roles[value] for value in values if value in trust.roles]
    return max(found, key=ROLES.index) if found else None
