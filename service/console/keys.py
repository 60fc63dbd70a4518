"""API keys: made and shown once, narrowed, rotated, revoked."""

from dataclasses import asdict, replace
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import Field
from sqlalchemy import Connection

from service.console import organisations, service_accounts
from service.console.fields import (
    MAX_DURATION_S,
    After,
    Body,
    IdInPath,
    IdInQuery,
    Label,
    LifetimeS,
    Limit,
    Name,
    NameInQuery,
    page,
)
from service.console.minting import mint, mint_in_place_of
from service.console.office import Change, Office
from service.console.owners import NO_REASON, Because
from service.console.routes import Route, Routes, Who
from service.console.rules import RulesFields, check_known, check_models, plain
from service.console.views import KeyView, NewKeyView
from service.core.directory import DEFAULT_ORGANISATION, NO_RULES
from service.core.roles import Permission
from service.errors import Conflict, NotThere, Unacceptable
from service.store.keys import (
    KeyFilter,
    StoredKey,
    change_key,
    expire_key,
    find_key,
    list_keys_where,
    revoke_key,
)
from service.store.owners import find_project, stored_rules

OVERLAP_S = 86400


class KeyChange(Body):
    """What is to change of a key: what is not given stays as it is."""

    name: Label | None = None
    rules: RulesFields = RulesFields()
    expires_in_s: LifetimeS | None = Field(None, description="From now; null: until revoked.")


class NewKey(KeyChange):
    """A key to be made."""

    project: Name = Field(description="Made in the organisation `default` if it is new.")
    service_account: Name | None = Field(None, description="Its id, or its name in the project.")


class Rotation(Body):
    """How a key is replaced."""

    overlap_s: Annotated[int, Field(strict=True, ge=0, le=MAX_DURATION_S)] = OVERLAP_S
    """How long the old key still works."""


AS_USUAL: Final = Rotation()


class Keys:
    """Makes, shows and changes API keys."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        write, one = Permission.WRITE_DIRECTORY, "/keys/{id}"
        return (
            Route("GET", "/keys", Permission.READ, self.list),
            Route("POST", "/keys", write, self.create, 201, (404, 409)),
            Route("GET", one, Permission.READ, self.show, refusals=(404,)),
            Route("PATCH", one, write, self.change, refusals=(404, 409)),
            Route("POST", f"{one}/rotate", write, self.rotate, 201, (404, 409)),
            Route("POST", f"{one}/revoke", write, self.revoke, refusals=(404,)),
        )

    def list(
        self,
        project: NameInQuery = None,
        service_account: IdInQuery = None,
        active: Annotated[bool, Query(description="Only those that work now.")] = False,
        limit: Limit = 1000,
        after: After = None,
    ) -> list[KeyView]:
        """All keys or those of a project, revoked and expired ones too, the oldest first."""
        wanted = KeyFilter(project, service_account, self._office.clock() if active else None)
        with self._office.read() as connection:
            if after is not None and find_key(connection, after) is None:
                raise Unacceptable("after", "No key has this id: the list cannot go on behind it.")
            found = list_keys_where(connection, wanted, page(limit, after))
            return [KeyView(**_fields(key)) for key in found]

    def create(self, body: NewKey, who: Who) -> NewKeyView:
        """Make a key, which is shown this once; its project is made if it is new."""
        check_models(body.rules.models, self._office.models, "rules.models")
        with self._office.change(who, body.reason) as change:
            pepper = self._office.keyring.pepper(change.connection)
            account = self._owner(change, body)
            wanted = StoredKey(
                id="",
                project=body.project,
                prefix="",
                created_at=change.now,
                created_by=who.actor,
                expires_at=_end(change.now, body.expires_in_s),
                name=body.name,
                service_account=account,
                rules=body.rules.over(NO_RULES),
            )
            made, key = mint(change, pepper, wanted)
            change.record("key.create", f"key/{made.id}", after=_facts(made))
        return NewKeyView(**_fields(made), key=key)

    def show(self, id: IdInPath) -> KeyView:  # noqa: A002  (its name in the path)
        """One key."""
        with self._office.read() as connection:
            return KeyView(**_fields(find(connection, id)))

    def change(self, id: IdInPath, body: KeyChange, who: Who) -> KeyView:  # noqa: A002
        """Change a key's name, its rules field by field, or when it ends; null takes one away."""
        check_models(body.rules.models, self._office.models, "rules.models")
        with self._office.change(who, body.reason) as change:
            old = find(change.connection, id)
            if old.revoked_at is not None:
                raise Conflict(f"{id} is revoked: make a new one.")
            new = _changed(old, body, change.now)
            before, after = _facts(old), _facts(new)
            if change.record_difference("key.change", f"key/{id}", before, after):
                stored = stored_rules(new.rules)
                fields = {"name": new.name, "expires_at": new.expires_at, "rules": stored}
                change_key(change.connection, id, **fields)
            return KeyView(**_fields(find(change.connection, id)))

    def rotate(self, id: IdInPath, who: Who, body: Rotation = AS_USUAL) -> NewKeyView:  # noqa: A002
        """Make a new key with the rules and limits of one, which ends after the overlap."""
        with self._office.change(who, body.reason) as change:
            pepper = self._office.keyring.pepper(change.connection)
            old = find(change.connection, id)
            if ended := _how_ended(old, change.now):
                raise Conflict(f"{id} {ended}: make a new one.")
            check_known(old.rules)
            made, key = mint_in_place_of(change, pepper, old)
            expire_key(change.connection, id, change.now + body.overlap_s)
            ends_at = find(change.connection, id).expires_at
            before, after = {"expires_at": old.expires_at}, {"expires_at": ends_at, "new": made.id}
            change.record("key.rotate", f"key/{id}", before, after)
            change.record("key.create", f"key/{made.id}", after=_facts(made))
        return NewKeyView(**_fields(made), key=key)

    def revoke(self, id: IdInPath, who: Who, body: Because = NO_REASON) -> KeyView:  # noqa: A002
        """End a key for good; gateways refuse it within about a second."""
        with self._office.change(who, body.reason) as change:
            find(change.connection, id)
            if revoke_key(change.connection, id, change.now):
                change.record("key.revoke", f"key/{id}")
            return KeyView(**_fields(find(change.connection, id)))

    def _owner(self, change: Change, body: NewKey) -> str | None:
        """See that a new key would work; return the id of its service account, if it has one."""
        project = find_project(change.connection, body.project)
        organisation = DEFAULT_ORGANISATION if project is None else project.owner.organisation
        if project is not None and project.owner.disabled:
            raise Conflict(f"The project {body.project!r} is disabled: enable it first.")
        if organisations.find(change.connection, organisation).owner.disabled:
            raise Conflict(f"The organisation {organisation!r} is disabled: enable it first.")
        if project is None:
            after = {"organisation": organisation}
            change.record("project.create", f"project/{body.project}", after=after)
        if body.service_account is None:
            return None
        found = service_accounts.find(change.connection, body.service_account, body.project)
        if found.disabled_at is not None:
            raise Conflict(f"The service account {found.owner.id} is disabled: enable it first.")
        return found.owner.id


def find(connection: Connection, key_id: str) -> StoredKey:
    """Return the key of this id.

    Raises:
        NotThere: there is none.
    """
    found = find_key(connection, key_id)
    if found is None:
        raise NotThere(f"no key has the id {key_id!r}")
    return found


def _end(now: float, lifetime_s: float | None) -> float | None:
    return None if lifetime_s is None else now + lifetime_s


def _changed(old: StoredKey, body: KeyChange, now: float) -> StoredKey:
    given = body.model_fields_set
    new = replace(old, rules=body.rules.over(old.rules))
    if "name" in given:
        new = replace(new, name=body.name)
    return replace(new, expires_at=_end(now, body.expires_in_s)) if "expires_in_s" in given else new


def _how_ended(key: StoredKey, now: float) -> str | None:
    if key.revoked_at is not None:
        return "is revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "has expired"
    return None


def _facts(key: StoredKey) -> dict[str, Any]:
    return {
        "project": key.project,
        "service_account": key.service_account,
        "name": key.name,
        "prefix": key.prefix,
        "expires_at": key.expires_at,
        "rules": plain(key.rules),
    }


def _fields(key: StoredKey) -> dict[str, Any]:
    return asdict(key) | {"rules": RulesFields.of(key.rules)}
