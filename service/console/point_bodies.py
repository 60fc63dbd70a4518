"""What the routes of operating points take in, and tell."""

from dataclasses import asdict, replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from detectors.api import Category, Part
from service.console.fields import MAX_INTEGER, Body, Label, LifetimeS, Models, Name, Reason
from service.console.rules import OneSurface
from service.console.views import PointView
from service.core.error_rates import ErrorRates, rate
from service.core.points import OperatingPoint, PointScope, PointState, has_expired
from service.core.tiers import MAX_TIER

Threshold = Annotated[float, Field(strict=True, ge=0, le=1, examples=[0.97])]
Action = Literal["record", "case", "page", "block"]
Number = Annotated[int, Field(strict=True, ge=1, le=MAX_INTEGER)]


class Counted(BaseModel):
    """How many of so many rows crossed the threshold."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    count: Annotated[int, Field(strict=True, ge=0, le=MAX_INTEGER)]
    total: Number

    @model_validator(mode="after")
    def _is_a_count(self) -> Self:
        if self.count > self.total:
            raise ValueError("expected a count of at most the total")
        return self


class Measured(BaseModel):
    """What was counted when the threshold was set; the bounds are computed here."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    flagged: Counted = Field(description="Benign rows that crossed it.")
    recall: Counted | None = Field(None, description="Misuse rows that crossed it.")
    detector_version: Label | None = None

    def rates(self) -> ErrorRates:
        """Return the shares with their bounds."""
        recall = None if self.recall is None else rate(self.recall.count, self.recall.total)
        flagged = rate(self.flagged.count, self.flagged.total)
        return ErrorRates(flagged, recall, self.detector_version)


class NewPoint(Body):
    """A point to be proposed; what is not given of its scope is all."""

    detector: Name
    category: Category
    part: Part
    threshold: Threshold
    action: Action
    tier: Annotated[int, Field(strict=True, ge=0, le=MAX_TIER)] | None = None
    models: Models | None = None
    project: Name | None = None
    surface: OneSurface | None = None
    owner: Label | None = Field(None, description="Who answers for it; null: who proposes it.")
    expires_in_s: LifetimeS | None = Field(None, description="From now; null: until retired.")
    measured: Measured | None = None
    reason: Reason

    def point(self, id_: str, owner: str, now: float) -> OperatingPoint:
        """Return the point that is proposed."""
        scope = PointScope(self.tier, frozenset(self.models or ()), self.project, self.surface)
        return OperatingPoint(
            id=id_,
            version=0,
            detector=self.detector,
            category=self.category,
            part=self.part,
            threshold=self.threshold,
            action=self.action,
            scope=scope,
            owner=self.owner or owner,
            expires_at=None if self.expires_in_s is None else now + self.expires_in_s,
            measured=None if self.measured is None else self.measured.rates(),
        )


class NewVersion(Body):
    """What is to change of a point: what is not given stays as it is."""

    threshold: Threshold | None = None
    action: Action | None = None
    owner: Label | None = None
    expires_in_s: LifetimeS | None = Field(None, description="From now; null: until retired.")
    measured: Measured | None = Field(None, description="Not kept from the version before.")
    reason: Reason

    def over(self, old: OperatingPoint, now: float) -> OperatingPoint:
        """Return the version that is proposed."""
        changes: dict[str, Any] = {
            name: value
            for name in ("threshold", "action", "owner")
            if (value := getattr(self, name)) is not None
        }
        if "expires_in_s" in self.model_fields_set:
            ends = None if self.expires_in_s is None else now + self.expires_in_s
            changes["expires_at"] = ends
        measured = None if self.measured is None else self.measured.rates()
        return replace(old, **changes, measured=measured)


class Decision(Body):
    """Why something is done to a point, and to which version: it is refused if that is another."""

    version: Number | None = Field(None, description="null: whichever it is.")
    reason: Reason


class Retirement(Body):
    """Why a point is ended."""

    reason: Reason


def facts(point: OperatingPoint) -> dict[str, Any]:
    """Return what the audit log says of a version."""
    scope = asdict(point.scope) | {"models": sorted(point.scope.models)}
    named = ("version", "detector", "category", "part", "threshold", "action", "owner")
    return {
        **{name: getattr(point, name) for name in named},
        **scope,
        "expires_at": point.expires_at,
        "measured": None if point.measured is None else asdict(point.measured),
    }


def view(point: OperatingPoint, now: float) -> PointView:
    """Return a version as it is told."""
    active = point.state is PointState.ACTIVE
    return PointView(
        **facts(point),
        ref=f"{point.id}:{point.version}",
        id=point.id,
        source=point.source,
        state=point.state,
        applies=active and not has_expired(point, now),
        reason=point.reason,
        replaces=point.replaces,
        created_at=point.created_at,
        created_by=point.created_by,
    )
