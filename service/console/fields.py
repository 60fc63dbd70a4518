"""What the bodies and parameters of the admin API are made of."""

import ipaddress
import re
from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.core.admin_tokens import TOKEN_START
from service.core.callers import KEY_START, is_project_name
from service.store.pages import Page

MAX_INTEGER: Final = 2**31 - 1
"""What an integer column of every database holds."""
MAX_TOKENS: Final = 2**53
MAX_DURATION_S: Final = 100 * 366 * 86400
MAX_ITEMS: Final = 256
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
MODEL: Final = r"^(\*|[A-Za-z0-9][A-Za-z0-9._/:@-]{0,127})$"
ID: Final = r"^[a-z]{2,8}_[A-Za-z0-9_-]{1,32}$"
"""Of a key, a token, a service account; no secret of ours has this shape."""
ACCOUNT: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}(/[0-9a-f]{24})?$"
EXCHANGE: Final = r"^ex-[0-9a-f]{24}$"
ENTITLEMENT: Final = r"^[a-z][a-z0-9_]{0,62}$"
_MAX_PEM: Final = 4096
_SECRET: Final = re.compile(f"({KEY_START}|{TOKEN_START})[A-Za-z0-9_-]{{20}}")


def one_line(text: str) -> str:
    """Refuse what would not stay on one line, or shows other than it is.

    Raises:
        ValueError: a character is not printable, or there is a secret in the text.
    """
    if not text.isprintable():
        raise ValueError("expected text of one line, without control characters")
    return no_secret(text)


def no_secret(text: str) -> str:
    """Refuse a key or a token in a place where it would be kept, or shown, in the clear.

    Raises:
        ValueError: there is one in the text.
    """
    if _SECRET.search(text):
        raise ValueError("this holds a key or a token: give its id, and keep it secret")
    return text


def one_line_or_none(text: str | None) -> str | None:
    """Hold what was given to `one_line`."""
    return None if text is None else one_line(text)


def _name(text: str) -> str:
    """Hold to the one definition of names, beside the pattern for the OpenAPI document."""
    if not is_project_name(text):
        raise ValueError("expected 1 to 63 letters, digits, '.', '_' and '-'")
    return no_secret(text)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        expected = "expected a network such as 10.0.0.0/8 or an address, without host bits"
        raise ValueError(expected) from None


def _public_key(pem: str) -> str:
    """Return the key alone, of a kind that gateways can use, whatever stands around it."""
    from service.identity.end_users import read_public_key  # noqa: PLC0415  (rarely needed)

    if "PRIVATE" in pem:
        raise ValueError("this is a private key: keep it secret, and give the public one")
    return read_public_key(pem).pem


def _distinct(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


Name = Annotated[str, Field(pattern=NAME, examples=["search"]), AfterValidator(_name)]
Label = Annotated[
    str, Field(min_length=1, max_length=100, examples=["nightly"]), AfterValidator(one_line)
]
Reason = Annotated[
    str,
    Field(min_length=1, max_length=500, examples=["ticket 4711"]),
    AfterValidator(one_line),
]
Model = Annotated[str, Field(pattern=MODEL, examples=["llama"]), AfterValidator(no_secret)]
Id = Annotated[str, Field(pattern=ID, examples=["key_2mVqTz8bKx1c"])]
Network = Annotated[str, Field(max_length=64, examples=["10.0.0.0/8"]), AfterValidator(_network)]
PublicKey = Annotated[str, Field(max_length=_MAX_PEM), AfterValidator(_public_key)]
Count = Annotated[int, Field(strict=True, gt=0, le=MAX_INTEGER, examples=[60])]
Tokens = Annotated[int, Field(strict=True, gt=0, le=MAX_TOKENS, examples=[100_000])]
LifetimeS = Annotated[int, Field(strict=True, gt=0, le=MAX_DURATION_S, examples=[7_776_000])]
Entitlement = Annotated[str, Field(pattern=ENTITLEMENT, examples=["identity_verified"])]
Entitlements = Annotated[list[Entitlement], Field(max_length=MAX_ITEMS), AfterValidator(_distinct)]
Models = Annotated[
    list[Model], Field(min_length=1, max_length=MAX_ITEMS), AfterValidator(_distinct)
]
Networks = Annotated[
    list[Network], Field(min_length=1, max_length=MAX_ITEMS), AfterValidator(_distinct)
]


class Body(BaseModel):
    """What all bodies share: nothing unknown, and no mistake quotes what was sent."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    reason: Reason | None = None


NameInPath = Annotated[str, Path(pattern=NAME, examples=["search"]), AfterValidator(no_secret)]
IdInPath = Annotated[str, Path(pattern=ID, description="As a list shows it.")]
NameInQuery = Annotated[str | None, Query(pattern=NAME), AfterValidator(one_line_or_none)]
IdInQuery = Annotated[str | None, Query(pattern=ID)]
TextInQuery = Annotated[str | None, Query(max_length=256), AfterValidator(one_line_or_none)]
ReasonInQuery = Annotated[
    str | None,
    Query(min_length=1, max_length=500),
    AfterValidator(one_line_or_none),
]
Limit = Annotated[int, Query(ge=1, le=10_000, description="At most so many.")]
After = Annotated[
    str | None,
    Query(max_length=256, description="Go on behind this one: the last of the page before."),
    AfterValidator(one_line_or_none),
]


def page(limit: int, after: str | None) -> Page:
    """Return the page that the parameters ask for."""
    return Page(limit, after)
