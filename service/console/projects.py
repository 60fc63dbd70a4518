"""Projects: who keys belong to, and what their callers may do."""

from typing import Any

from sqlalchemy import Connection

from service.console.fields import (
    After,
    Body,
    Limit,
    Name,
    NameInPath,
    NameInQuery,
    PublicKey,
    page,
)
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
from service.console.rules import RulesFields, check_models, plain
from service.console.views import ProjectView
from service.core.directory import DEFAULT_ORGANISATION, NO_RULES, Project, Rules
from service.core.roles import Permission
from service.errors import Conflict, NotThere, Unacceptable
from service.store.owners import (
    Kept,
    change_owner,
    find_organisation,
    find_project,
    list_projects,
    make_project,
    stored_rules,
)

KIND = "project"


class ProjectChange(Body):
    """What is to change of a project: what is not given stays as it is."""

    rules: RulesFields = RulesFields()
    end_user_key: PublicKey | None = None


class NewProject(ProjectChange):
    """A project to be made."""

    name: Name
    organisation: Name = DEFAULT_ORGANISATION


class Projects:
    """Makes, shows and changes projects."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        write, one = Permission.WRITE_DIRECTORY, "/projects/{name}"
        entitle_ = Permission.WRITE_ENTITLEMENTS
        return (
            Route("GET", "/projects", Permission.READ, self.list),
            Route("POST", "/projects", write, self.create, 201, (409,)),
            Route("GET", one, Permission.READ, self.show, refusals=(404,)),
            Route("PATCH", one, write, self.change, refusals=(404, 409)),
            Route("POST", f"{one}/disable", write, self.disable, refusals=(404,)),
            Route("POST", f"{one}/enable", write, self.enable, refusals=(404,)),
            Route("PUT", f"{one}/entitlements", entitle_, self.entitle, refusals=(404,)),
        )

    def list(
        self, organisation: NameInQuery = None, limit: Limit = 1000, after: After = None
    ) -> list[ProjectView]:
        """All projects, or those of an organisation, by name."""
        with self._office.read() as connection:
            found = list_projects(connection, page(limit, after), organisation)
            return [_view(it) for it in found]

    def create(self, body: NewProject, who: Who) -> ProjectView:
        """Make a project in an organisation that is there."""
        check_models(body.rules.models, self._office.models, "rules.models")
        rules = body.rules.over(NO_RULES)
        with self._office.change(who, body.reason) as change:
            if find_organisation(change.connection, body.organisation) is None:
                message = f"No organisation has the name {body.organisation!r}: make it first."
                raise Unacceptable("organisation", message)
            if not make_project(change.connection, body.name, change.origin, body.organisation):
                raise Conflict(f"There is a project {body.name!r} already.")
            made = find(change.connection, body.name)
            _store(change.connection, made, rules, body.end_user_key)
            facts = {"organisation": body.organisation, **_facts(rules, body.end_user_key)}
            change.record("project.create", f"project/{body.name}", after=facts)
            return _view(find(change.connection, body.name))

    def show(self, name: NameInPath) -> ProjectView:
        """One project."""
        with self._office.read() as connection:
            return _view(find(connection, name))

    def change(self, name: NameInPath, body: ProjectChange, who: Who) -> ProjectView:
        """Change rules, field by field, or the public key of a project; null takes one away."""
        check_models(body.rules.models, self._office.models, "rules.models")
        with self._office.change(who, body.reason) as change:
            kept = find(change.connection, name)
            old = kept.owner
            rules = body.rules.over(old.rules)
            key = body.end_user_key if "end_user_key" in body.model_fields_set else old.end_user_key
            before, after = _facts(old.rules, old.end_user_key), _facts(rules, key)
            if change.record_difference("project.change", f"project/{name}", before, after):
                _store(change.connection, kept, rules, key)
            return _view(find(change.connection, name))

    def disable(self, name: NameInPath, who: Who, body: Because = NO_REASON) -> ProjectView:
        """Refuse all callers of a project; gateways do within about a second."""
        with self._office.change(who, body.reason) as change:
            disable(change, KIND, name, find(change.connection, name))
            return _view(find(change.connection, name))

    def enable(self, name: NameInPath, who: Who, body: Because = NO_REASON) -> ProjectView:
        """Let the callers of a project in again."""
        with self._office.change(who, body.reason) as change:
            enable(change, KIND, name, find(change.connection, name))
            return _view(find(change.connection, name))

    def entitle(self, name: NameInPath, body: NewEntitlements, who: Who) -> ProjectView:
        """Set what all callers of a project are entitled to, beside what its organisation is."""
        with self._office.change(who, body.reason) as change:
            entitle(change, KIND, name, find(change.connection, name), body)
            return _view(find(change.connection, name))


def find(connection: Connection, name: str) -> Kept[Project]:
    """Return the project of this name.

    Raises:
        NotThere: there is none.
    """
    found = find_project(connection, name)
    if found is None:
        raise NotThere(f"no project has the name {name!r}")
    return found


def _store(connection: Connection, kept: Kept[Project], rules: Rules, key: str | None) -> None:
    change_owner(connection, kept.owner, rules=stored_rules(rules), end_user_key=key)


def _facts(rules: Rules, end_user_key: str | None) -> dict[str, Any]:
    return {"rules": plain(rules), "end_user_key": end_user_key}


def _view(kept: Kept[Project]) -> ProjectView:
    project = kept.owner
    return ProjectView(
        name=project.name,
        organisation=project.organisation,
        rules=RulesFields.of(project.rules),
        end_user_key=project.end_user_key,
        **history(kept),
    )
