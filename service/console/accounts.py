"""Accounts: their standings, suspended and reinstated."""

import re
from typing import Annotated, Final

from fastapi import Path
from pydantic import AfterValidator, Field
from sqlalchemy import Connection, select

from service.console import projects
from service.console.fields import ACCOUNT, After, Body, Limit, Name, Reason, no_secret, page
from service.console.office import Change, Office
from service.console.owners import NO_REASON, Because
from service.console.routes import Route, Routes, Who
from service.console.views import AccountView
from service.core.directory import Standing
from service.core.end_users import end_user_account
from service.core.roles import Permission
from service.core.surfaces.asks import MAX_END_USER_CHARS
from service.store.standings import (
    StoredStanding,
    find_standing,
    list_standings,
    put_standing,
)
from service.store.tables import meta

_EXPECTED: Final = (
    "expected a project, or PROJECT/ and the 24 hexadecimal digits that records have for an "
    "end user (watchgate receipts show), never the id that the project sends"
)


def _account(text: str) -> str:
    """Refuse what no request ever comes from: to suspend that would suspend nobody."""
    if not re.match(ACCOUNT, no_secret(text)):
        raise ValueError(_EXPECTED)
    return text


Account = Annotated[
    str,
    Path(
        description="A project, or an end user within it: `PROJECT/` and 24 hexadecimal digits.",
        examples=["search"],
        json_schema_extra={"pattern": ACCOUNT},
    ),
    AfterValidator(_account),
]


class Suspension(Body):
    """Why an account is suspended."""

    reason: Reason


class EndUser(Body):
    """An end user as the project calls it; in a body, for addresses are logged on their way."""

    project: Name
    end_user: Annotated[
        str, Field(min_length=1, max_length=MAX_END_USER_CHARS, examples=["user-4711"])
    ]


class Accounts:
    """Shows and changes standings."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        write, one = Permission.WRITE_STANDING, "/accounts/{account:path}"
        return (
            Route("GET", "/accounts", Permission.READ, self.list),
            Route("POST", "/accounts/find", write, self.find, refusals=(404,)),
            Route("POST", f"{one}/suspend", write, self.suspend, refusals=(404,)),
            Route("POST", f"{one}/reinstate", write, self.reinstate, refusals=(404,)),
            Route("GET", one, Permission.READ, self.show, refusals=(404,)),
        )

    def list(
        self, state: Standing | None = None, limit: Limit = 1000, after: After = None
    ) -> list[AccountView]:
        """The accounts of one state, or all whose standing is not good, by name."""
        with self._office.read() as connection:
            found = list_standings(connection, page(limit, after), state)
        return [_view(it.account, it) for it in found]

    def show(self, account: Account) -> AccountView:
        """One account's standing."""
        with self._office.read() as connection:
            return _view(account, _find(connection, account))

    def find(self, body: EndUser) -> AccountView:
        """The account of an end user, by the id that its project sends; nothing changes."""
        with self._office.read() as connection:
            secret = connection.execute(select(meta.c.end_user_secret)).scalar_one()
            account = end_user_account(bytes(secret), body.project, body.end_user)
            return _view(account, _find(connection, account))

    def suspend(self, account: Account, body: Suspension, who: Who) -> AccountView:
        """Refuse an account; gateways do within about a second."""
        with self._office.change(who, body.reason) as change:
            return self._set(change, account, Standing.SUSPENDED)

    def reinstate(self, account: Account, who: Who, body: Because = NO_REASON) -> AccountView:
        """Let an account in again: its standing is good from now on."""
        with self._office.change(who, body.reason) as change:
            return self._set(change, account, Standing.GOOD)

    def _set(self, change: Change, account: str, state: Standing) -> AccountView:
        old = _find(change.connection, account)
        was = Standing.GOOD if old is None else old.state
        if was is state:
            return _view(account, old)
        new = StoredStanding(account, state, change.reason or "", change.now, change.origin.by)
        put_standing(change.connection, new)
        action = "account.suspend" if state is Standing.SUSPENDED else "account.reinstate"
        change.record(action, f"account/{account}", {"state": was}, {"state": state})
        return _view(account, new)


def _find(connection: Connection, account: str) -> StoredStanding | None:
    """Return an account's standing, if its project is there."""
    projects.find(connection, account.partition("/")[0])
    return find_standing(connection, account)


def _view(account: str, found: StoredStanding | None) -> AccountView:
    if found is None:
        return AccountView(account=account, state=Standing.GOOD, reason=None, since=None, by=None)
    return AccountView(
        account=account,
        state=found.state,
        reason=found.reason or None,
        since=found.since,
        by=found.by,
    )
