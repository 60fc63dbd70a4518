"""Admin tokens: made and shown once, listed, revoked."""

import secrets
from dataclasses import asdict

from pydantic import Field

from service.console.fields import After, Body, IdInPath, Label, LifetimeS, Limit, page
from service.console.office import Change, Office
from service.console.owners import NO_REASON, Because
from service.console.routes import Route, Routes, Who
from service.console.views import NewTokenView, TokenView
from service.core.admin_tokens import (
    TOKEN_ENTROPY_BYTES,
    digest_token,
    make_token,
    visible_prefix,
)
from service.core.callers import ID_ENTROPY_BYTES, make_id
from service.core.roles import Admin, Permission, Role
from service.errors import Conflict, NotThere, Unacceptable
from service.store.admin_tokens import (
    StoredToken,
    add_token,
    find_token,
    has_admin,
    list_tokens,
    revoke_token,
)
from service.store.pepper import pepper_id

FIRST_NAME = "bootstrap"


class NewToken(Body):
    """An admin token to be made."""

    name: Label = Field(description="Whose it is, or what for.")
    role: Role
    expires_in_s: LifetimeS | None = Field(None, description="null: until revoked.")


class Tokens:
    """Makes, shows and revokes admin tokens."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        needs = Permission.WRITE_TOKENS
        return (
            Route("GET", "/tokens", needs, self.list),
            Route("POST", "/tokens", needs, self.create, 201),
            Route("POST", "/tokens/{id}/revoke", needs, self.revoke, refusals=(404,)),
        )

    def list(self, limit: Limit = 1000, after: After = None) -> list[TokenView]:
        """All admin tokens, revoked and expired ones too, the oldest first."""
        with self._office.read() as connection:
            if after is not None and find_token(connection, after) is None:
                raise Unacceptable("after", "No token has this id: no list goes on behind it.")
            return [TokenView(**asdict(it)) for it in list_tokens(connection, page(limit, after))]

    def create(self, body: NewToken, who: Who) -> NewTokenView:
        """Make an admin token, which is shown this once."""
        with self._office.change(who, body.reason) as change:
            pepper = self._office.keyring.pepper(change.connection)
            made, token = _add(change, pepper, body)
            change.record("token.create", f"token/{made.id}", after=_facts(made))
        return NewTokenView(**asdict(made), token=token)

    def revoke(self, id: IdInPath, who: Who, body: Because = NO_REASON) -> TokenView:  # noqa: A002
        """End an admin token for good, from the next request on."""
        with self._office.change(who, body.reason) as change:
            found = find_token(change.connection, id)
            if found is None:
                raise NotThere(f"no admin token has the id {id!r}")
            if found.revoked_at is None:
                revoke_token(change.connection, id, change.now)
                change.record("token.revoke", f"token/{id}")
            return TokenView(**asdict(find_token(change.connection, id) or found))

    def bootstrap(self, who: Admin, *, again: bool, reason: str | None = None) -> NewTokenView:
        """Make the first token of the role admin. No route leads here: the machine's own command.

        Raises:
            Conflict: there is one that works, and nobody said `again`.
        """
        body = NewToken(name=FIRST_NAME, role=Role.ADMIN, reason=reason)
        with self._office.change(who, reason) as change:
            pepper = self._office.keyring.pepper(change.connection)
            there_is = has_admin(change.connection, change.now)
            if there_is and not again:
                raise Conflict(
                    "there is an admin token that works: watchgate tokens list shows whose; "
                    "--again makes another, and the audit log says so"
                )
            made, token = _add(change, pepper, body)
            facts = {**_facts(made), "again": there_is}
            change.record("admin.bootstrap", f"token/{made.id}", after=facts)
        return NewTokenView(**asdict(made), token=token)


def _add(change: Change, pepper: bytes, wanted: NewToken) -> tuple[StoredToken, str]:
    """Store a token of fresh randomness, and return what is kept of it with the token itself."""
    token = make_token(secrets.token_bytes(TOKEN_ENTROPY_BYTES))
    lifetime_s = wanted.expires_in_s
    made = StoredToken(
        id=make_id("adm", secrets.token_bytes(ID_ENTROPY_BYTES)),
        name=wanted.name,
        role=wanted.role,
        prefix=visible_prefix(token),
        created_at=change.now,
        created_by=change.origin.by,
        expires_at=None if lifetime_s is None else change.now + lifetime_s,
    )
    add_token(change.connection, made, digest_token(pepper, token), pepper_id(pepper))
    return made, token


def _facts(token: StoredToken) -> dict[str, str | float | None]:
    return {
        "name": token.name,
        "role": str(token.role),
        "prefix": token.prefix,
        "expires_at": token.expires_at,
    }
