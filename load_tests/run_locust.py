"""Starts Locust with our scenarios, in an environment of its own: `make load`.

    python -m load_tests.run_locust --url http://127.0.0.1:8080 --key sk-wg-... --model smollm2
    python -m load_tests.run_locust ... --headless --users 20 --run-time 1m
    python -m load_tests.run_locust ... --scenario burst

What it does not know goes to Locust. Exit code 2 when it cannot start, else Locust's own.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from load_tests.on_demand import NotInstallableError, python_environment
from load_tests.processes import FOLDER, ROOT
from load_tests.scenarios import SCENARIOS, files_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs Locust until it ends."""
    options, others = _parser().parse_known_args(arguments)
    if not (options.key and options.model):
        print("make load: name KEY= (`watchgate keys create`) and MODEL=", file=sys.stderr)
        return 2
    try:
        program = python_environment("locust") / "locust"
    except NotInstallableError as why:
        print(f"make load: {why}", file=sys.stderr)
        return 2
    environment = {
        **os.environ,
        "LOAD_KEY": options.key,
        "LOAD_MODEL": options.model,
        "PYTHONPATH": str(ROOT),
    }
    files = ",".join(str(FOLDER / name) for name in files_of(options.scenario))
    where = ("--host", options.url, "--web-host", "127.0.0.1")
    command = [str(program), "-f", files, *where, *others, *SCENARIOS[options.scenario]]
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.run_locust",
        description="Locust with the scenarios of load_tests/locustfile.py.",
        epilog="example: --key sk-wg-... --model smollm2 --headless --users 20 --run-time 1m",
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway")
    parser.add_argument("--key", default="", help="a key of the gateway")
    parser.add_argument("--model", default="", help="the served name to ask for")
    parser.add_argument(
        "--scenario", choices=SCENARIOS, default="steady", help="which people come (steady)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
