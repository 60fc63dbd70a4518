"""The audit log, for those who look for something in it."""

from typing import Annotated

from fastapi import Depends, Query

from service.console.fields import Limit, TextInQuery
from service.console.office import Office
from service.console.routes import Route, Routes
from service.console.views import EntryView
from service.core.roles import Permission
from service.store.audit_list import Search, search_audit

_MAX_SEQ = 2**62

Before = Annotated[
    int | None,
    Query(ge=1, le=_MAX_SEQ, description="Go on below this `seq`: the last of the page before."),
]
Time = Annotated[
    float | None, Query(ge=0, le=1e11, allow_inf_nan=False, description="Unix seconds.")
]


def wanted(
    actor: TextInQuery = None,
    action: TextInQuery = None,
    object: TextInQuery = None,  # noqa: A002  (its name in entries)
    since: Time = None,
    until: Time = None,
) -> Search:
    """Return which entries the parameters ask for."""
    return Search(actor, action, object, since, until)


class AuditEntries:
    """Shows who did what."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        return (Route("GET", "/audit", Permission.READ_AUDIT, self.list),)

    def list(
        self, search: Annotated[Search, Depends(wanted)], limit: Limit = 1000, after: Before = None
    ) -> list[EntryView]:
        """Who did what, the latest first."""
        with self._office.read() as connection:
            found = search_audit(connection, search, limit, after)
        return [
            EntryView(
                seq=seq,
                at=entry.at,
                actor=entry.actor,
                action=entry.action,
                object=entry.object,
                before=entry.before,
                after=entry.after,
                reason=entry.reason,
            )
            for seq, entry in found
        ]
