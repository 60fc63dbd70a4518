"""Rules, as bodies and answers of the admin API have them."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from service.console.fields import Count, Models, Networks
from service.console.office import KnownModel
from service.core.directory import NOTHING, Rules
from service.core.surfaces import SURFACES
from service.errors import Conflict, Unacceptable

ANY_MODEL: Final = "*"


def _surfaces(names: list[str]) -> list[str]:
    if unknown := [name for name in names if name not in SURFACES]:
        there_are = ", ".join(SURFACES)
        raise ValueError(f"no surface is named {unknown[0][:64]!r}; there are: {there_are}")
    return list(dict.fromkeys(names))


def _surface(name: str) -> str:
    return _surfaces([name])[0]


_OneSurface = Annotated[str, Field(json_schema_extra={"enum": list(SURFACES)})]
OneSurface = Annotated[_OneSurface, AfterValidator(_surface)]
Surfaces = Annotated[
    list[_OneSurface],
    Field(min_length=1, max_length=len(SURFACES)),
    AfterValidator(_surfaces),
]


class RulesFields(BaseModel):
    """What callers may do; null: nothing is ruled out. Rules of a key narrow its project's."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    models: Models | None = Field(None, description='"*" stands for all but adapters.')
    surfaces: Surfaces | None = None
    addresses: Networks | None = Field(None, description="Networks that requests may come from.")
    tools: StrictBool | None = Field(None, description="false: requests with tools are refused.")
    max_tokens: Count | None = Field(None, description="Of one answer.")
    max_choices: Count | None = None
    max_prompt_bytes: Count | None = Field(None, description="Of a request's body.")

    @classmethod
    def of(cls, rules: Rules) -> "RulesFields":
        """Return rules as answers have them; `models: []` for those of a newer version."""
        return cls.model_construct(**msgspec.json.decode(msgspec.json.encode(rules)))

    def over(self, rules: Rules) -> Rules:
        """Return rules with those fields changed that were given, null for none.

        Raises:
            Conflict: the rules are of a newer version, and would be lost.
        """
        check_known(rules)
        return msgspec.structs.replace(
            rules,
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in self.model_dump(exclude_unset=True).items()
            },
        )


def check_known(rules: Rules) -> None:
    """See that rules are what they were set to.

    Raises:
        Conflict: they are of a newer version, and would be lost.
    """
    if rules == NOTHING:
        raise Conflict("Its rules are of a newer version of Watchgate: change it with that.")


def plain(rules: Rules) -> dict[str, Any]:
    """Return rules as entries of the audit log have them."""
    builtins: dict[str, Any] = msgspec.to_builtins(rules)
    return builtins


def check_models(names: Sequence[str] | None, models: Sequence[KnownModel], param: str) -> None:
    """See that each name is a model's or stands for any.

    Raises:
        Unacceptable: one is not.
    """
    known = [model.name for model in models]
    for name in names or ():
        if name != ANY_MODEL and name not in known:
            there_are = ", ".join(known[:20])
            raise Unacceptable(param, f"No model is named {name!r}; there are: {there_are}.")
