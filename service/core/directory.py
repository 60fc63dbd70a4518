"""Who there is and what each may do, as of one revision of the store: what a gateway holds.

Organisations hold projects, projects hold service accounts and keys. What is allowed narrows on
the way down; entitlements add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from service.core.screening import Point

DEFAULT_ORGANISATION: Final = "default"
"""Holds the projects that were made without naming one."""
ALL_MODELS: Final = ""
"""As the model of a limit: it counts what all models take together."""


class Rules(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the callers of a project, or with a key, may do; None: nothing is ruled out."""

    models: tuple[str, ...] | None = None
    """Names of models; "*" stands for all but adapters, which are always named."""
    surfaces: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    """Networks as `10.0.0.0/8` that requests may come from."""
    tools: bool | None = None
    """False: requests that bring tools are refused."""
    max_tokens: int | None = None
    """Of one answer."""
    max_choices: int | None = None
    max_prompt_bytes: int | None = None
    """Of a request's body. A token is at least one byte: it bounds the context too."""


NO_RULES: Final = Rules()
NOTHING: Final = Rules(models=())
"""No model. In place of rules that a newer version wrote and this one cannot read: they might rule
out what is not known here. Nobody can set them."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How much is let in; None: no limit. Tokens are those of prompts and answers together."""

    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    concurrent_requests: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None


NO_LIMITS: Final = Limits()


class Scope(StrEnum):
    """Whose limit it is."""

    ORGANISATION = "organisation"
    PROJECT = "project"
    KEY = "key"
    END_USER = "end_user"
    """The subject is a project: each of its end users has this limit."""
    MODEL = "model"
    """The subject is a model: all callers share this limit."""


class Standing(StrEnum):
    """An account's state. Throttled and watched have no effect yet on what is served."""

    GOOD = "good"
    WATCHED = "watched"
    THROTTLED = "throttled"
    SUSPENDED = "suspended"


class Entitlement(StrEnum):
    """What was found out of a caller and tiers ask for; models may ask for names of their own."""

    IDENTITY_VERIFIED = "identity_verified"
    TRUSTED_ACCESS = "trusted_access"
    NAMED_USER = "named_user"


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who projects belong to."""

    name: str
    entitlements: frozenset[str] = frozenset()
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Project:
    """Who keys belong to: an account."""

    name: str
    organisation: str = DEFAULT_ORGANISATION
    entitlements: frozenset[str] = frozenset()
    rules: Rules = NO_RULES
    end_user_key: str | None = None
    """The public key, in PEM, that the project signs ids of its end users with."""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A program of a project, which may have several keys."""

    id: str
    project: str
    name: str
    entitlements: frozenset[str] = frozenset()
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What the store knows of a key; times are Unix seconds."""

    id: str
    project: str
    service_account: str | None = None
    rules: Rules = NO_RULES
    expires_at: float | None = None
    revoked_at: float | None = None


LimitsByModel = Mapping[str, Limits]
"""Of one subject: by the model's name, or `ALL_MODELS`."""

_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The store as of one revision. A newer one takes its place whole."""

    epoch: str = ""
    revision: int = -1
    loaded_at: float = 0.0
    end_user_secret: bytes = b""
    """The secret that ids of end users are kept under; all gateways have the same."""
    keys: Mapping[bytes, KnownKey] = field(default_factory=lambda: _NOTHING)
    """By digest; revoked and expired ones too: the refusal names the reason."""
    organisations: Mapping[str, Organisation] = field(default_factory=lambda: _NOTHING)
    projects: Mapping[str, Project] = field(default_factory=lambda: _NOTHING)
    service_accounts: Mapping[str, ServiceAccount] = field(default_factory=lambda: _NOTHING)
    limits: Mapping[tuple[Scope, str], LimitsByModel] = field(default_factory=lambda: _NOTHING)
    standings: Mapping[str, Standing] = field(default_factory=lambda: _NOTHING)
    """By account; those that are not good."""
    points: Mapping[str, Point] = field(default_factory=lambda: _NOTHING)
    """By id; those that are active, though their time may be over meanwhile."""
