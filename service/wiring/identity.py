"""The issuers whose tokens are trusted, as the settings describe them."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from service.core.tokens import ClaimPath, Required, Trust
from service.errors import ConfigError
from service.identity.jwks import OK, OUTCOMES, IssuerKeys, Pace
from service.identity.places import At, Discovered, InFile, Place
from service.identity.verifier import Issuer, TokenVerifier
from service.settings import Settings
from service.settings.auth import Issuer as IssuerSettings
from service.telemetry.labels import declare
from service.telemetry.metrics import Metrics
from service.wiring.parts import clock

_FIRST_LOOK_S: Final = 2.0
"""The longest that a start waits for the keys of all issuers together; they may come later."""


@contextmanager
def token_verifier(settings: Settings, metrics: Metrics) -> Iterator[TokenVerifier | None]:
    """Return what verifies tokens, with keys that are kept fresh; None: no issuer is trusted.

    Raises:
        ConfigError: the authorities of an issuer's address cannot be read.
    """
    with ExitStack() as stack:
        issuers = [
            Issuer(trust_of(issuer), stack.enter_context(_keys(i, issuer, metrics)))
            for i, issuer in enumerate(settings.auth.issuers)
        ]
        deadline = clock() + _FIRST_LOOK_S
        for issuer in issuers:
            issuer.keys.wait(max(0.0, deadline - clock()))
        yield TokenVerifier(issuers) if issuers else None


def trust_of(issuer: IssuerSettings) -> Trust:
    """Return what an issuer's tokens are good for."""
    return Trust(
        name=issuer.name,
        issuer=issuer.issuer,
        audiences=frozenset(issuer.audience),
        admin_audiences=frozenset(issuer.admin_audience),
        leeway_s=issuer.leeway_s,
        max_age_s=issuer.max_age_s,
        required=tuple(
            Required(one.claim, frozenset(one.values)) for one in issuer.required_claims
        ),
        project=_path(issuer.claims.project),
        projects=issuer.projects,
        entitlement=_path(issuer.claims.entitlements),
        entitlements={value: frozenset(ours) for value, ours in issuer.entitlement_map.items()},
        role=_path(issuer.claims.roles),
        roles=dict(issuer.role_map),
    )


def _path(claim: tuple[str, ...] | None) -> ClaimPath:
    return claim or ()


def _keys(i: int, issuer: IssuerSettings, metrics: Metrics) -> IssuerKeys:
    return IssuerKeys(
        issuer.name,
        _place(issuer, f"auth.issuers[{i}].ca_file"),
        issuer.algorithms,
        pace=Pace.of(issuer.refresh_s, issuer.max_stale_s),
        on_refresh=_counting(issuer.name, metrics),
    )


def _place(issuer: IssuerSettings, ca_setting: str) -> Place:
    if issuer.jwks_file is not None:
        return InFile(issuer.jwks_file)
    tls = _tls(issuer.ca_file, ca_setting)
    if issuer.jwks_url is not None:
        return At(issuer.jwks_url, tls, issuer.bearer_file)
    return Discovered(issuer.issuer, tls)


def _tls(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(f"{setting}: {ca_file}: {error.strerror or 'no certificates'}") from None


def _counting(name: str, metrics: Metrics) -> Callable[[str], None]:
    read_at = metrics.issuer_keys_read_at.labels(name)
    declare(metrics.issuer_key_refreshes, [name], OUTCOMES)

    def count(outcome: str) -> None:
        metrics.issuer_key_refreshes.labels(name, outcome).inc()
        if outcome == OK:
            read_at.set(clock())

    return count
