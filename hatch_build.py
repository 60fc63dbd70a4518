"""Compiles the detectors' C part while the package is built; without a compiler it is left out."""

import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledWords(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library into the wheel, or beside its source for an editable installation."""

    PLUGIN_NAME = "custom"
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; a machine without a compiler gets the package without the library."""
        sys.path.insert(0, self.root)
        from detectors import compiling  # noqa: PLC0415 - importable only now

        try:
            if version == "editable":
                compiling.compile_library(compiling.SOURCE.parent)
            else:
                self._folder = tempfile.TemporaryDirectory()
                self._include(compiling.compile_library(Path(self._folder.name)), build_data)
        except compiling.CompilerError as error:
            self.app.display_warning(f"detectors will run in plain Python, slower: {error}")

    def _include(self, library: Path, build_data: dict[str, Any]) -> None:
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(library)] = f"detectors/{library.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the wheel now holds."""
        del version, build_data, artifact_path
        if self._folder:
            self._folder.cleanup()
