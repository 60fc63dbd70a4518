"""The Debian programs that tests run, fetched beforehand: one sentence if they cannot be had.

They are unpacked under .cache/debian, not installed; nothing is started, no root is needed.
"""

import sys
from collections.abc import Mapping
from typing import Final

from tests.real_parts.debian import DebianProgramMissing, debian_program

PARTS: Final[Mapping[str, str]] = {
    "prometheus-alertmanager": "prometheus-alertmanager",
    "nginx": "nginx",
    "openssl": "openssl",
    "curl": "curl",
    "redis-server": "redis-server",
    "prometheus": "prometheus",
    "promtool": "prometheus",
}
"""The package that holds each program."""


def main() -> int:
    """Fetch what this machine lacks; return 1 with what to install if that fails."""
    missing = []
    for program, package in PARTS.items():
        print(f"parts: {program}", file=sys.stderr)
        try:
            debian_program(package, program)
        except DebianProgramMissing as error:
            print(f"parts: {error}", file=sys.stderr)
            missing.append(package)
    if missing:
        print(f"sudo apt-get update && sudo apt-get install {' '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
