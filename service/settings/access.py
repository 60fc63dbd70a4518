"""Settings of access: what is asked of callers, beyond what the store says of each."""

from typing import Annotated

from pydantic import Field, PositiveInt, field_validator

from service.core.addresses import networks_of
from service.core.tiers import MAX_TIER, EndUsers
from service.settings.base import Section


class AccessPolicy(Section):
    """Changes to what a tier asks of callers; what is not given is the tier's."""

    end_users: EndUsers | None = None
    ends_answers: bool | None = None


class Access(Section):
    """Who may call, and as whom."""

    trusted_proxies: tuple[str, ...] = ()
    new_end_users_per_hour: PositiveInt = 10_000
    tiers: dict[Annotated[int, Field(ge=0, le=MAX_TIER)], AccessPolicy] = Field(
        default_factory=dict
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            networks_of(texts)
        except ValueError:
            raise ValueError("expected networks such as 10.0.0.0/8, or addresses") from None
        return texts
