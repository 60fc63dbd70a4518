"""Limits and budgets: of an organisation, a project, a key, each end user, a model."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import Query
from pydantic import AfterValidator
from sqlalchemy import Connection

from service.console import keys, organisations, projects
from service.console.fields import (
    MODEL,
    After,
    Body,
    Count,
    Limit,
    ReasonInQuery,
    TextInQuery,
    Tokens,
    no_secret,
    one_line_or_none,
    page,
)
from service.console.office import Office
from service.console.routes import Route, Routes, Who
from service.console.rules import ANY_MODEL, check_models
from service.console.views import LimitsView
from service.core.directory import ALL_MODELS, NO_LIMITS, Limits, Scope
from service.core.roles import Permission
from service.errors import NotThere, Unacceptable
from service.store.limits import Place, find_limits, list_limits, put_limits

Subject = Annotated[
    str,
    Query(
        pattern=MODEL,
        description="The name of the organisation, project or model, or the id of the key; for "
        "end_user the project whose end users have this limit each.",
        examples=["search"],
    ),
    AfterValidator(no_secret),
]
OneModel = Annotated[
    str | None,
    Query(pattern=MODEL, description="Without it the limit counts all models together."),
    AfterValidator(one_line_or_none),
]


class NewLimits(Body):
    """All limits of one place; what is not given, or null, is not limited."""

    requests_per_min: Count | None = None
    tokens_per_min: Tokens | None = None
    concurrent_requests: Count | None = None
    tokens_per_day: Tokens | None = None
    tokens_per_month: Tokens | None = None


class LimitsDesk:
    """Sets, shows and removes limits."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        write = Permission.WRITE_DIRECTORY
        return (
            Route("GET", "/limits", Permission.READ, self.list),
            Route("PUT", "/limits", write, self.set, refusals=(404,)),
            Route("DELETE", "/limits", write, self.remove, refusals=(404,)),
        )

    def list(
        self,
        scope: Scope | None = None,
        subject: TextInQuery = None,
        limit: Limit = 1000,
        after: After = None,
    ) -> list[LimitsView]:
        """All limits, or those of a scope or a subject."""
        behind = None if after is None else _place_of(after)
        with self._office.read() as connection:
            found = list_limits(
                connection, page(limit, None), scope=scope, subject=subject, after=behind
            )
        return [_view(place, numbers) for place, numbers in found]

    def set(
        self, scope: Scope, subject: Subject, body: NewLimits, who: Who, model: OneModel = None
    ) -> LimitsView:
        """Set all limits of one subject, for one model or for all together."""
        new = Limits(**body.model_dump(exclude={"reason"}))
        if new == NO_LIMITS:
            raise Unacceptable("body", "Give at least one limit; DELETE takes all away.")
        place = _place(scope, subject, model)
        named = _model_of(place)
        check_models([named] if named else None, self._office.models, "model")
        self._change(place, new, "limit.set", who, body.reason)
        return _view(place, new)

    def remove(
        self,
        scope: Scope,
        subject: Subject,
        who: Who,
        model: OneModel = None,
        reason: ReasonInQuery = None,
    ) -> LimitsView:
        """Take all limits of one subject away, for one model or for all together.

        The model may be one that the settings have no more.
        """
        place = _place(scope, subject, model)
        self._change(place, NO_LIMITS, "limit.remove", who, reason)
        return _view(place, NO_LIMITS)

    def _change(self, place: Place, new: Limits, action: str, who: Who, reason: str | None) -> None:
        with self._office.change(who, reason) as change:
            if place.scope in _OWNERS:
                _OWNERS[place.scope](change.connection, place.subject)
            old = find_limits(change.connection, place)
            if action == "limit.remove" and old == NO_LIMITS:
                raise NotThere("there are no such limits")
            object_ = "/".join(["limit", *filter(None, place)])
            if change.record_difference(action, object_, _facts(old), _facts(new)):
                put_limits(change.connection, place, new)


_OWNERS: Final[dict[Scope, Callable[[Connection, str], Any]]] = {
    Scope.ORGANISATION: organisations.find,
    Scope.PROJECT: projects.find,
    Scope.END_USER: projects.find,
    Scope.KEY: keys.find,
}
"""Each finds the subject, or raises `NotThere`."""


def _place(scope: Scope, subject: str, model: str | None) -> Place:
    """Return where limits are."""
    if scope is Scope.MODEL and model is not None:
        raise Unacceptable("model", "With the scope model the subject names the model.")
    place = Place(scope, subject, model or ALL_MODELS)
    if _model_of(place) == ANY_MODEL:
        raise Unacceptable("model", "Leave the model away to count all models together.")
    return place


def _model_of(place: Place) -> str:
    return place.subject if place.scope is Scope.MODEL else place.model


def _facts(limits: Limits) -> dict[str, Any]:
    return msgspec.structs.asdict(limits)


def _id(place: Place) -> str:
    return ":".join(place)


def _place_of(cursor: str) -> Place:
    """Read the id of limits. Names of models may have colons, those of other subjects none."""
    scope, _, rest = cursor.partition(":")
    subject, _, model = rest.rpartition(":") if scope == Scope.MODEL else rest.partition(":")
    if scope not in list(Scope):
        raise Unacceptable("after", "Expected the id of limits, as a list shows it.")
    return Place(Scope(scope), subject, model)


def _view(place: Place, limits: Limits) -> LimitsView:
    scope, subject, model = place
    return LimitsView(
        id=_id(place), scope=scope, subject=subject, model=model or None, **_facts(limits)
    )
