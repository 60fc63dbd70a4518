"""Which limits a request is under."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from service.core.callers import Caller
from service.core.directory import ALL_MODELS, Limits, Scope, Snapshot


class Kind(StrEnum):
    """What is limited; the names are metric labels."""

    REQUESTS = "requests"
    """Requests in any minute."""
    TOKENS = "tokens"
    """Tokens in any minute."""
    CONCURRENT = "concurrent"
    """Requests at once."""
    DAY = "day"
    """Tokens of a day in UTC."""
    MONTH = "month"
    """Tokens of a month in UTC."""


_FIELDS: Final = {
    Kind.REQUESTS: "requests_per_min",
    Kind.TOKENS: "tokens_per_min",
    Kind.CONCURRENT: "concurrent_requests",
    Kind.DAY: "tokens_per_day",
    Kind.MONTH: "tokens_per_month",
}
"""Where a limit of each kind stands."""
LETTERS: Final = {kind: kind.value[0] for kind in Kind}
"""One letter for each kind."""
_IN_TOKENS: Final = frozenset({Kind.TOKENS, Kind.DAY, Kind.MONTH})
_UNITS: Final = {
    Kind.REQUESTS: "requests a minute",
    Kind.TOKENS: "tokens a minute",
    Kind.CONCURRENT: "requests at once",
    Kind.DAY: "tokens a day",
    Kind.MONTH: "tokens a month",
}


class Counter(msgspec.Struct, frozen=True, gc=False):
    """One limit on what one subject takes, of one model or of all together."""

    kind: Kind
    scope: Scope
    subject: str
    """A name, a key's id or, of an end user, an account."""
    model: str
    """Its name, or `ALL_MODELS`."""
    limit: int
    id: str
    """Names what is counted and not the limit, which may change under what was counted."""
    in_tokens: bool
    """Else it counts requests."""

    @classmethod
    def of(cls, kind: Kind, scope: Scope, subject: str, model: str, limit: int) -> "Counter":
        """Make one; no name of anything has the `|` that its id is put together with."""
        name = f"{LETTERS[kind]}|{scope}|{subject}|{model}"
        return cls(kind, scope, subject, model, limit, name, kind in _IN_TOKENS)

    def share(self, of: int) -> "Counter":
        """Return one of `of` equal shares of the limit, rounded down."""
        return msgspec.structs.replace(self, limit=self.limit // of)

    def __str__(self) -> str:
        """Return `60 requests a minute of project 'search' for model 'm'`; never a user's id."""
        words = f"{self.limit} {_UNITS[self.kind]} of {self._owner()}"
        if self.model == ALL_MODELS or self.scope is Scope.MODEL:
            return words
        return f"{words} for model {self.model!r}"

    def _owner(self) -> str:
        match self.scope:
            case Scope.KEY:
                return "this key"
            case Scope.END_USER:
                return "this end user"
            case _:
                return f"{self.scope} {self.subject!r}"


Counters = tuple[Counter, ...]
"""All that one request counts against."""
NO_COUNTERS: Final[Counters] = ()


def counters_of(snapshot: Snapshot, caller: Caller, model: str) -> Counters:
    """Return every limit that a caller's request for a model is under.

    An end user is there where the account is not the project itself.
    """
    return tuple(_counters(snapshot, caller, model))


def _counters(snapshot: Snapshot, caller: Caller, model: str) -> Iterator[Counter]:
    for scope, owner, subject in _subjects(caller, model):
        by_model = snapshot.limits.get((scope, owner))
        if by_model is not None:
            for name in (ALL_MODELS, model):
                if (limits := by_model.get(name)) is not None:
                    yield from _set(limits, scope, subject, name)


def _subjects(caller: Caller, model: str) -> Iterator[tuple[Scope, str, str]]:
    """Yield whose limits count: a scope, who the limit is kept for, who is counted."""
    yield Scope.ORGANISATION, caller.organisation, caller.organisation
    yield Scope.PROJECT, caller.project, caller.project
    yield Scope.KEY, caller.key_id, caller.key_id
    if caller.account != caller.project:
        yield Scope.END_USER, caller.project, caller.account
    yield Scope.MODEL, model, model


def _set(limits: Limits, scope: Scope, subject: str, model: str) -> Iterator[Counter]:
    for kind, field in _FIELDS.items():
        limit: int | None = getattr(limits, field)
        if limit is not None:
            yield Counter.of(kind, scope, subject, model, limit)
