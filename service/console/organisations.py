"""Organisations: who projects belong to."""

from sqlalchemy import Connection

from service.console.fields import After, Body, Limit, Name, NameInPath, page
from service.console.office import Office
from service.console.owners import (
    NO_REASON,
    Because,
    NewEntitlements,
    disable,
    enable,
    entitle,
    history,
)
from service.console.routes import Route, Routes, Who
from service.console.views import OrganisationView
from service.core.directory import Organisation
from service.core.roles import Permission
from service.errors import Conflict, NotThere
from service.store.owners import Kept, find_organisation, list_organisations, make_organisation

KIND = "organisation"


class NewOrganisation(Body):
    """An organisation to be made."""

    name: Name


class Organisations:
    """Makes, shows and changes organisations."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        write, one = Permission.WRITE_DIRECTORY, "/organisations/{name}"
        entitle_ = Permission.WRITE_ENTITLEMENTS
        return (
            Route("GET", "/organisations", Permission.READ, self.list),
            Route("POST", "/organisations", write, self.create, 201, (409,)),
            Route("GET", one, Permission.READ, self.show, refusals=(404,)),
            Route("POST", f"{one}/disable", write, self.disable, refusals=(404,)),
            Route("POST", f"{one}/enable", write, self.enable, refusals=(404,)),
            Route("PUT", f"{one}/entitlements", entitle_, self.entitle, refusals=(404,)),
        )

    def list(self, limit: Limit = 1000, after: After = None) -> list[OrganisationView]:
        """All organisations, by name."""
        with self._office.read() as connection:
            return [_view(it) for it in list_organisations(connection, page(limit, after))]

    def create(self, body: NewOrganisation, who: Who) -> OrganisationView:
        """Make an organisation."""
        with self._office.change(who, body.reason) as change:
            if not make_organisation(change.connection, body.name, change.origin):
                raise Conflict(f"There is an organisation {body.name!r} already.")
            change.record("organisation.create", f"organisation/{body.name}", after={})
            return _view(find(change.connection, body.name))

    def show(self, name: NameInPath) -> OrganisationView:
        """One organisation."""
        with self._office.read() as connection:
            return _view(find(connection, name))

    def disable(self, name: NameInPath, who: Who, body: Because = NO_REASON) -> OrganisationView:
        """Refuse all callers of an organisation; gateways do within about a second."""
        with self._office.change(who, body.reason) as change:
            disable(change, KIND, name, find(change.connection, name))
            return _view(find(change.connection, name))

    def enable(self, name: NameInPath, who: Who, body: Because = NO_REASON) -> OrganisationView:
        """Let the callers of an organisation in again."""
        with self._office.change(who, body.reason) as change:
            enable(change, KIND, name, find(change.connection, name))
            return _view(find(change.connection, name))

    def entitle(self, name: NameInPath, body: NewEntitlements, who: Who) -> OrganisationView:
        """Set what all callers of an organisation are entitled to."""
        with self._office.change(who, body.reason) as change:
            entitle(change, KIND, name, find(change.connection, name), body)
            return _view(find(change.connection, name))


def find(connection: Connection, name: str) -> Kept[Organisation]:
    """Return the organisation of this name.

    Raises:
        NotThere: there is none.
    """
    found = find_organisation(connection, name)
    if found is None:
        raise NotThere(f"no organisation has the name {name!r}")
    return found


def _view(kept: Kept[Organisation]) -> OrganisationView:
    return OrganisationView(name=kept.owner.name, **history(kept))
