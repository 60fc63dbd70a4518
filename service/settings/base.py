"""What all groups of settings share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings: nothing unknown, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
