"""Labels: what people say of recorded exchanges. What was said in those does not come here."""

from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import AfterValidator, Field

from detectors.api import Category, Part
from service.console.fields import (
    EXCHANGE,
    MAX_ITEMS,
    Body,
    Limit,
    ReasonInQuery,
    one_line,
    one_line_or_none,
)
from service.console.office import Change, Office
from service.console.routes import Route, Routes, Who
from service.console.views import LabelView
from service.core.labels import PARTS, Label, Meaning, in_order
from service.core.roles import Permission
from service.errors import NotThere, Unacceptable
from service.store.labels import (
    LabelKey,
    Wanted,
    find_label,
    list_labels,
    put_label,
    remove_label,
)

_NOTHING: Final[dict[str, Any]] = {"label": None, "categories": [], "note": None}
_MAX_ACTOR: Final = 1024


def _part(part: Part) -> Part:
    if part not in PARTS:
        raise ValueError("expected 'prompt' or 'answer': a label of the answer speaks of both")
    return part


def _kind(kind: Category) -> Category:
    if kind is Category.ANY:
        raise ValueError("expected a kind of misuse; leave it away where it is of none of them")
    return kind


Exchange = Annotated[
    str,
    Path(pattern=EXCHANGE, description="As the header `x-watchgate-receipt` of its answer has it."),
]
ExchangeInQuery = Annotated[str | None, Query(pattern=EXCHANGE)]
LabelledPart = Annotated[Part, Path(description="`prompt` or `answer`."), AfterValidator(_part)]
Kinds = Annotated[list[Annotated[Category, AfterValidator(_kind)]], Field(max_length=MAX_ITEMS)]
Note = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        description="For others who look at it; nothing of what was asked or answered.",
        examples=["a class exercise"],
    ),
    AfterValidator(one_line),
]
By = Annotated[
    str | None,
    Query(max_length=_MAX_ACTOR, description="Whose label; without it one's own."),
    AfterValidator(one_line_or_none),
]
AfterLabel = Annotated[
    str | None,
    Query(max_length=_MAX_ACTOR + 64, description="Go on behind this one: the last `ref`."),
    AfterValidator(one_line_or_none),
]


class NewLabel(Body):
    """What somebody says of a part of an exchange."""

    label: Meaning
    categories: Kinds = Field(default_factory=list)
    note: Note | None = None


class Labels:
    """Shows labels, sets and removes them."""

    def __init__(self, office: Office) -> None:
        """Look nothing up yet."""
        self._office = office

    def routes(self) -> Routes:
        """Return what answers where."""
        write, one = Permission.WRITE_LABELS, "/labels/{exchange}/{part}"
        return (
            Route("GET", "/labels", Permission.READ, self.list),
            Route("PUT", one, write, self.set),
            Route("DELETE", one, write, self.remove, refusals=(404,)),
        )

    def list(
        self,
        exchange: ExchangeInQuery = None,
        label: Meaning | None = None,
        limit: Limit = 1000,
        after: AfterLabel = None,
    ) -> list[LabelView]:
        """All labels, or those of an exchange, or of one meaning."""
        behind = None if after is None else _key_of(after)
        with self._office.read() as connection:
            wanted = Wanted(exchange_id=exchange, label=label)
            found = list_labels(connection, wanted, limit=limit, after=behind)
        return [_view(it) for it in found]

    def set(self, exchange: Exchange, part: LabelledPart, body: NewLabel, who: Who) -> LabelView:
        """Say whether a part of an exchange was misuse, in place of what one said before."""
        if body.label is Meaning.BENIGN and body.categories:
            raise Unacceptable("categories", "What is benign is of no kind of misuse: give none.")
        with self._office.change(who, body.reason) as change:
            old = find_label(change.connection, LabelKey(exchange, part, who.actor))
            kinds = in_order(body.categories)
            new = Label(exchange, part, who.actor, body.label, kinds, body.note, change.now)
            before = _NOTHING if old is None else _facts(old)
            if not change.record_difference("label.set", _object(new), before, _facts(new)):
                return _view(old or new)
            put_label(change.connection, new)
            return _view(new)

    def remove(
        self,
        exchange: Exchange,
        part: LabelledPart,
        who: Who,
        by: By = None,
        reason: ReasonInQuery = None,
    ) -> LabelView:
        """Take a label away: one's own, or that of somebody else."""
        with self._office.change(who, reason) as change:
            return self._remove(change, LabelKey(exchange, part, by or who.actor))

    @staticmethod
    def _remove(change: Change, key: LabelKey) -> LabelView:
        old = find_label(change.connection, key)
        if old is None:
            raise NotThere(f"{key.by} has given the {key.part} of {key.exchange_id} no label")
        remove_label(change.connection, key)
        change.record("label.remove", _object(old), _facts(old) | {"by": old.by})
        return _view(old)


def _object(label: Label) -> str:
    return f"label/{label.exchange_id}/{label.part}"


def _facts(label: Label) -> dict[str, Any]:
    return {"label": label.label, "categories": list(label.categories), "note": label.note}


def _key_of(cursor: str) -> LabelKey:
    """Read the `ref` of a label; who gave it may have colons in the name."""
    exchange, _, rest = cursor.partition(":")
    part, _, by = rest.partition(":")
    if part not in PARTS:
        raise Unacceptable("after", "Expected the `ref` of a label, as a list shows it.")
    return LabelKey(exchange, Part(part), by)


def _view(label: Label) -> LabelView:
    key = LabelKey(label.exchange_id, label.part, label.by)
    return LabelView(ref=":".join(key), **key._asdict(), **_facts(label), at=label.at)
