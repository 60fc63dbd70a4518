"""How a vLLM that is started here comes by the plugin, with nothing installed beside it."""

import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from service.vllm.home import Home, VllmError

PACKAGE: Final = "vllm_probe"
_ENTRY: Final = "[vllm.general_plugins]\nwatchgate_probe = vllm_probe.plugin:register\n"
_ROOT: Final = Path(__file__).resolve().parents[2]
SHIPPED: Final = _ROOT / "detectors" / "models" / "probe"
"""Probes of the small model."""


def environment_for_probes(
    home: Home, probes: Path, sockets: Path, given: Mapping[str, str]
) -> dict[str, str]:
    """Return what vLLM's environment needs to find the plugin, and the plugin its probes.

    Raises:
        VllmError: the folder holds no probes, or the plugin cannot be announced.
    """
    if not (probes / "manifest.json").exists():
        raise VllmError(f"{probes} holds no probes: name a folder that `watchgate probes` made")
    paths = [str(announce(home.root / ".cache" / "probe-plugin")), given.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": ":".join(filter(None, paths)),
        "WATCHGATE_PROBES": str(probes.absolute()),
        "WATCHGATE_PROBE_SOCKETS": str(sockets.absolute()),
        "WATCHGATE_PROBE_CACHED": "1",
    }


def announce(folder: Path) -> Path:
    """Make a folder that holds the plugin and its entry point alone; return it.

    Ours would do for a search path, too, but holds what vLLM has in other versions.
    """
    info = folder / f"watchgate_probe-{version('watchgate')}.dist-info"
    try:
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: watchgate-probe\nVersion: {version('watchgate')}\n"
        )
        (info / "entry_points.txt").write_text(_ENTRY)
        draft = folder / f"{PACKAGE}.{os.getpid()}"  # another may start at the same time
        draft.symlink_to(_ROOT / PACKAGE, target_is_directory=True)
        draft.replace(folder / PACKAGE)
    except OSError as error:
        raise VllmError(f"the plugin cannot be announced in {folder}: {error.strerror}") from error
    return folder
