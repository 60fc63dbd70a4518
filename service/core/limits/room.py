"""How much at once: decisions from counts."""


def has_room(taken: int, limit: int | None) -> bool:
    """Say whether one more may come where so many are; None is no limit."""
    return limit is None or taken < limit
