"""What the groups of settings are made of."""

import os
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

MIB: Final = 1024 * 1024

Port = Annotated[int, Field(ge=0, le=65535)]
"""0 lets the system choose, which is for tests."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,127}$")]


def path_from_base(path: Path, info: ValidationInfo) -> Path:
    """Take a relative path from the settings file's folder."""
    base: Path = (info.context or {}).get("base", Path.cwd())
    return Path(os.path.normpath(base.absolute() / path.expanduser()))


FilePath = Annotated[Path, AfterValidator(path_from_base)]


class Section(BaseModel):
    """What all groups of settings share: nothing unknown, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
