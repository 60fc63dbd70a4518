"""Settings of who may call: keys, and tokens of issuers."""

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveFloat,
    StringConstraints,
)

from service.core.callers import is_project_name
from service.core.tokens import ANY
from service.identity.fetch import is_private_way
from service.settings.base import ISSUER_NAME, FilePath, Name, Secret, Section

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
Role = Literal["viewer", "analyst", "operator", "admin"]
MAX_LEEWAY_S: Final = 300


def _split(given: Any) -> Any:  # noqa: ANN401  (pydantic gives what was written)
    """Read `realm_access.roles` as the names on the way."""
    return given.split(".") if isinstance(given, str) else given


def _to_itself(given: Any) -> Any:  # noqa: ANN401  (pydantic gives what was written)
    """Let the values of a list, or any with `*`, stand for the projects of the same names."""
    given = [given] if given == ANY else given
    is_list = isinstance(given, list | tuple) and all(isinstance(it, str) for it in given)
    return {value: value for value in given} if is_list else given


def _in_list(given: Any) -> Any:  # noqa: ANN401  (pydantic gives what was written)
    return [given] if isinstance(given, str) else given


def _project(name: str) -> str:
    if name != ANY and not is_project_name(name):
        raise ValueError(
            "expected the name of a project: 1 to 63 letters, digits, '.', '_' and '-', "
            "the first a letter or digit; or '*'"
        )
    return name


def _private(url: str) -> str:
    if not is_private_way(url):
        raise ValueError("expected an address with https://, or with http:// on this machine")
    return url


Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Claim = Annotated[
    tuple[Text, ...],
    BeforeValidator(_split, json_schema_input_type=str | tuple[Text, ...]),
    Field(min_length=1),
]
ProjectName = Annotated[str, AfterValidator(_project)]
PrivateUrl = Annotated[str, AfterValidator(_private)]


class Claims(Section):
    """Where tokens say which project, roles and entitlements their subject has.

    A text names a claim, with dots the claims within: `realm_access.roles`. A list of names is for
    claims whose names hold dots themselves.
    """

    project: Claim | None = None
    roles: Claim | None = None
    entitlements: Claim | None = None


class RequiredClaim(Section):
    """A claim that every token must have; with values, one of these."""

    claim: Claim
    values: tuple[Text, ...] = ()


class Issuer(Section):
    """Who signs tokens that are taken in place of keys, and what these are good for."""

    name: Annotated[str, Field(pattern=ISSUER_NAME)]
    issuer: Text
    audience: Annotated[tuple[Text, ...], BeforeValidator(_in_list), Field(min_length=1)]
    admin_audience: Annotated[tuple[Text, ...], BeforeValidator(_in_list)] = ()
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)]
    jwks_url: PrivateUrl | None = None
    jwks_file: FilePath | None = None
    ca_file: FilePath | None = None
    bearer_file: FilePath | None = None
    refresh_s: Annotated[float, Field(ge=1)] = 300.0
    max_stale_s: PositiveFloat = 3600.0
    leeway_s: Annotated[float, Field(ge=0, le=MAX_LEEWAY_S)] = 30.0
    max_age_s: PositiveFloat = 86400.0
    required_claims: tuple[RequiredClaim, ...] = ()
    claims: Claims = Claims()
    projects: Annotated[dict[Text, ProjectName], BeforeValidator(_to_itself)] = Field(
        default_factory=dict
    )
    role_map: dict[Text, Role] = Field(default_factory=dict)
    entitlement_map: dict[
        Text, Annotated[tuple[Name, ...], BeforeValidator(_in_list), Field(min_length=1)]
    ] = Field(default_factory=dict)


class Auth(Section):
    """Keys are stored as HMAC-SHA256 under the pepper; without one, a file in data_dir is made."""

    pepper: Secret | None = None
    previous_peppers: tuple[Secret, ...] = ()
    issuers: tuple[Issuer, ...] = ()
