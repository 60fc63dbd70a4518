"""Who may ask what of which model, as a decision table.

docs/access.md shows it, and a test tries every combination of its columns on
`service.core.access.authorise`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from scripts.docs_tables import Table, code
from service.core.access import EndUserProof, Reason
from service.core.directory import Entitlement, Standing
from service.core.surfaces import SURFACES
from service.core.tiers import TIERS

OF_TIERS: Final = frozenset(tier.number for tier in TIERS)
_NONE: Final[frozenset[Entitlement]] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """One combination of what a decision depends on."""

    tier: int
    entitlements: frozenset[Entitlement]
    standing: Standing
    surface: str
    surface_is_listed: bool
    """By the rules of the project or the key; where there are none, every surface is."""
    model_is_listed: bool
    """An adapter by its name; another model by its name, by `*`, or since there is no list."""
    end_user: EndUserProof | None


@dataclass(frozen=True, slots=True)
class Row:
    """What follows for all cases that it fits; of several rows that fit the first one counts."""

    outcome: Reason | None
    """What the caller is told; None: the request is served."""
    tiers: frozenset[int] = OF_TIERS
    standings: frozenset[Standing] = frozenset(Standing)
    lacks_one_of: frozenset[Entitlement] = _NONE
    end_users: frozenset[EndUserProof | None] = frozenset({None, "named", "signed"})
    models_listed: frozenset[bool] = frozenset({True, False})
    surfaces_listed: frozenset[bool] = frozenset({True, False})

    def fits(self, case: Case) -> bool:
        """Say whether the row speaks of a case."""
        return (
            case.tier in self.tiers
            and case.standing in self.standings
            and (not self.lacks_one_of or not self.lacks_one_of <= case.entitlements)
            and case.end_user in self.end_users
            and case.model_is_listed in self.models_listed
            and case.surface_is_listed in self.surfaces_listed
        )


_ALL: Final = frozenset(Entitlement)
ROWS: Final = (
    Row(Reason.ACCOUNT_SUSPENDED, standings=frozenset({Standing.SUSPENDED})),
    Row(Reason.MODEL, models_listed=frozenset({False})),
    Row(
        Reason.ENTITLEMENT,
        tiers=frozenset({3}),
        lacks_one_of=frozenset({Entitlement.IDENTITY_VERIFIED}),
    ),
    Row(Reason.ENTITLEMENT, tiers=frozenset({4}), lacks_one_of=_ALL),
    Row(Reason.SURFACE, surfaces_listed=frozenset({False})),
    Row(Reason.END_USER, tiers=frozenset({2, 3, 4}), end_users=frozenset({None})),
    Row(None),
)


def expected(case: Case) -> Reason | None:
    """Return what the table says of a case."""
    return next(row.outcome for row in ROWS if row.fits(case))


def cases() -> Iterator[Case]:
    """Yield every combination."""
    yield from (
        Case(*combination)
        for combination in product(
            sorted(OF_TIERS),
            [frozenset(it) for it in _subsets(list(Entitlement))],
            Standing,
            SURFACES,
            (True, False),
            (True, False),
            (None, "named", "signed"),
        )
    )


def access() -> Sequence[Table]:
    """The decision table, in words."""
    rows = [
        [
            _named(map(str, sorted(row.tiers)), len(OF_TIERS)),
            " or ".join(map(code, sorted(row.lacks_one_of))) or "any",
            _named(map(code, sorted(row.standings)), len(Standing)),
            _listed(row.models_listed),
            _listed(row.surfaces_listed),
            "none" if row.end_users == {None} else "any",
            code(row.outcome) if row.outcome else "**served**",
        ]
        for row in ROWS
    ]
    headings = ["tier", "lacks", "standing", "model", "surface", "end user", "outcome"]
    return [Table(headings, rows)]


def _subsets(items: list[Entitlement]) -> Iterable[list[Entitlement]]:
    for bits in range(2 ** len(items)):
        yield [item for i, item in enumerate(items) if bits >> i & 1]


def _named(names: Iterable[str], of: int) -> str:
    listed = list(names)
    return "any" if len(listed) == of else ", ".join(listed)


def _listed(flags: frozenset[bool]) -> str:
    return "not listed" if flags == {False} else "any"
