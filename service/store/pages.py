"""Lists by the page, so that no answer grows with the store."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most `limit` rows, behind the one that `after` names."""

    limit: int
    after: str | None = None


def page_of(query: Select[Any], by: ColumnElement[str], page: Page) -> Select[Any]:
    """Order a query by a unique column, and keep one page of it."""
    query = query.order_by(by).limit(page.limit)
    return query if page.after is None else query.where(by > page.after)
