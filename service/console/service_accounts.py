"""Service accounts: programs of a project, which may have several keys."""

import secrets

from sqlalchemy import Connection

from service.console import projects
from service.console.fields import After, Body, IdInPath, Limit, Name, NameInQuery, page
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
from service.console.views import ServiceAccountView
from service.core.callers import ID_ENTROPY_BYTES, make_id
from service.core.directory import ServiceAccount
from service.core.roles import Permission
from service.errors import Conflict, NotThere
from service.store.owners import (
    Kept,
    find_service_account,
    list_service_accounts,
    make_service_account,
)

KIND = "service_account"


class NewServiceAccount(Body):
    """A service account to be made."""

    project: Name
    name: Name


class ServiceAccounts:
    """Makes, shows and changes service accounts."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        write, one = Permission.WRITE_DIRECTORY, "/service-accounts/{id}"
        entitle_ = Permission.WRITE_ENTITLEMENTS
        return (
            Route("GET", "/service-accounts", Permission.READ, self.list),
            Route("POST", "/service-accounts", write, self.create, 201, (404, 409)),
            Route("GET", one, Permission.READ, self.show, refusals=(404,)),
            Route("POST", f"{one}/disable", write, self.disable, refusals=(404,)),
            Route("POST", f"{one}/enable", write, self.enable, refusals=(404,)),
            Route("PUT", f"{one}/entitlements", entitle_, self.entitle, refusals=(404,)),
        )

    def list(
        self, project: NameInQuery = None, limit: Limit = 1000, after: After = None
    ) -> list[ServiceAccountView]:
        """All service accounts, or those of a project, by id."""
        with self._office.read() as connection:
            found = list_service_accounts(connection, page(limit, after), project)
            return [_view(it) for it in found]

    def create(self, body: NewServiceAccount, who: Who) -> ServiceAccountView:
        """Make a service account of a project that is there."""
        new = ServiceAccount(
            make_id("sva", secrets.token_bytes(ID_ENTROPY_BYTES)), body.project, body.name
        )
        with self._office.change(who, body.reason) as change:
            projects.find(change.connection, body.project)
            if not make_service_account(change.connection, new, change.origin):
                message = f"The project {body.project!r} has a service account {body.name!r}."
                raise Conflict(message)
            facts = {"project": body.project, "name": body.name}
            change.record("service_account.create", f"service_account/{new.id}", after=facts)
            return _view(find(change.connection, new.id))

    def show(self, id: IdInPath) -> ServiceAccountView:  # noqa: A002  (its name in the path)
        """One service account."""
        with self._office.read() as connection:
            return _view(find(connection, id))

    def disable(
        self,
        id: IdInPath,  # noqa: A002
        who: Who,
        body: Because = NO_REASON,
    ) -> ServiceAccountView:
        """Refuse all keys of a service account; gateways do within about a second."""
        with self._office.change(who, body.reason) as change:
            disable(change, KIND, id, find(change.connection, id))
            return _view(find(change.connection, id))

    def enable(
        self,
        id: IdInPath,  # noqa: A002
        who: Who,
        body: Because = NO_REASON,
    ) -> ServiceAccountView:
        """Let the keys of a service account in again."""
        with self._office.change(who, body.reason) as change:
            enable(change, KIND, id, find(change.connection, id))
            return _view(find(change.connection, id))

    def entitle(
        self,
        id: IdInPath,  # noqa: A002
        body: NewEntitlements,
        who: Who,
    ) -> ServiceAccountView:
        """Set what a service account is entitled to, beside what its project is."""
        with self._office.change(who, body.reason) as change:
            entitle(change, KIND, id, find(change.connection, id), body)
            return _view(find(change.connection, id))


def find(connection: Connection, named: str, project: str | None = None) -> Kept[ServiceAccount]:
    """Return the service account of this id or, within a project, of this id or name.

    Raises:
        NotThere: there is none.
    """
    found = find_service_account(connection, named, project)
    if found is None and project is None:
        raise NotThere(f"no service account has the id {named!r}")
    if found is None:
        raise NotThere(f"the project {project!r} has no service account {named!r}")
    return found


def _view(kept: Kept[ServiceAccount]) -> ServiceAccountView:
    account = kept.owner
    return ServiceAccountView(
        id=account.id, project=account.project, name=account.name, **history(kept)
    )
