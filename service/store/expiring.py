"""What is in force and will end soon."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, func, select

from service.core.points import PointState
from service.store.tables import admin_tokens, keys, points

_USED_S: Final = 86_400.0
"""A key that was used so lately is one that somebody depends on. Uses are kept to the hour."""
_HOUR_S: Final = 3600.0


def count_expiring(connection: Connection, now: float, within_s: float) -> Mapping[str, int]:
    """Count what ends within so many seconds, by kind.

    Keys that nobody uses and what was revoked do not count, nor what has ended.
    """
    used = keys.c.last_used_at >= now - _USED_S - _HOUR_S
    conditions = {
        "api_key": (keys, keys.c.revoked_at.is_(None) & used),
        "admin_token": (admin_tokens, admin_tokens.c.revoked_at.is_(None)),
        "operating_point": (points, points.c.state == PointState.ACTIVE),
    }

    def count(table: Table, condition: ColumnElement[bool]) -> int:
        ends = table.c.expires_at.between(now, now + within_s)
        query = select(func.count()).select_from(table).where(condition, ends)
        return connection.execute(query).scalar_one()

    return {kind: count(table, condition) for kind, (table, condition) in conditions.items()}
