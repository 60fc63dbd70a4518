"""`make run`: vLLM and Watchgate on this machine, from nothing to an address, a key and a `curl`.

Settings are written to var/run/watchgate.yaml on the first run and are yours from then on. With
--upstream they are in var/run/upstream.yaml, written anew each time.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from scripts.processes import Part, Stopped, get, is_taken, started, until_ready
from service.errors import WatchgateError
from service.settings import Settings, load
from service.settings.serving import MOST_SOCKETS_BYTES

ROOT: Final = Path(__file__).resolve().parents[1]
WATCHGATE: Final = (sys.executable, "-m", "service.cli")
READY_LIMIT_S: Final = 90.0
VLLM_LIMIT_S: Final = 600.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class CannotRun(WatchgateError):
    """Something is missing or in the way; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one `make run` works with."""

    folder: Path
    config: Path
    settings: Settings
    local: bool
    """VLLM is started here too."""

    @property
    def model(self) -> str:
        """The name that callers use in the printed example."""
        return self.settings.models[0].name

    @property
    def upstream(self) -> str:
        """The base address of vLLM."""
        return self.settings.upstreams[0].replicas[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C; return 0 then, and 1 with a sentence if something is in the way."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.model and not args.upstream:
        parser.error("MODEL names a model of UPSTREAM: give both, or neither")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        run = prepare(args.folder.absolute(), args.upstream, args.model)
        serve(run, stop)
    except Stopped:
        pass
    except WatchgateError as error:
        say(str(error))
        return 1
    say("stopped")
    return 0


def prepare(folder: Path, upstream: str | None, model: str | None) -> Run:
    """Write the settings where there are none, and see that nothing is in the way.

    Raises:
        CannotRun: a port is taken, or the upstream does not answer.
        ConfigError: the settings, which may have been edited, are wrong.
    """
    for each in reversed((folder, *folder.parents)):  # `parents=True` would leave them open
        if not each.exists():
            each.mkdir(mode=0o700)
    config = folder / ("upstream.yaml" if upstream else "watchgate.yaml")
    if upstream:
        url = upstream.rstrip("/").removesuffix("/v1")
        _write(config, url, model or first_model(url))
    elif not config.exists():
        _write(config, "http://127.0.0.1:8000", model or "smollm2", sockets=folder / "probes")
    run = Run(folder, config, load(config), local=upstream is None)
    for port, who in _ports(run):
        if is_taken(*port):
            raise CannotRun(
                f"port {port[1]} is taken, and {who} needs it: stop what uses it (another "
                f"`make run`?), or choose another port in {config}"
            )
    return run


def serve(run: Run, stop: threading.Event) -> None:
    """Start everything, tell where it is, and stop everything when told to."""
    if run.local:
        _become_ready_for_vllm(stop)
    key = make_key(run)  # before the gateway starts: it sees later ones within a second
    with started(_parts(run), run.folder, stop) as parts:
        say("starting Watchgate")
        if run.local:
            say("starting vLLM (usually 40 to 130 s)")
            until_ready(f"{run.upstream}/health", "vLLM", parts, stop, VLLM_LIMIT_S, say)
        ops = run.settings.ops
        ready = f"http://{_reachable(ops.host)}:{ops.port}/ready"
        until_ready(ready, "Watchgate", parts, stop, READY_LIMIT_S, say)
        print(summary(run, key), flush=True)  # the one thing that goes to stdout
        while not stop.wait(0.5):
            for part in parts:
                part.check()
        say("stopping")


def summary(run: Run, key: str) -> str:
    """Return what a person needs to go on."""
    gateway, ops = run.settings.gateway, run.settings.ops
    address = f"http://{_reachable(gateway.host)}:{gateway.port}"
    metrics = f"http://{_reachable(ops.host)}:{ops.port}/metrics"
    console = f"http://{_reachable(run.settings.console.host)}:{run.settings.console.port}"
    ask = {"role": "user", "content": "What is the capital of France?"}
    body = {"model": run.model, "messages": [ask], "max_tokens": 60}
    command = f"{_shown(Path(sys.executable).with_name('watchgate'))}"
    config = f"--config {_shown(run.config)}"
    return f"""
Watchgate is ready.

  gateway   {address}/v1
  API key   {key}
  try       curl {address}/v1/chat/completions \\
              -H "Authorization: Bearer {key}" \\
              -H "Content-Type: application/json" \\
              -d '{json.dumps(body)}'
  admin     {console}/admin/v1  (a token for it: {command} admin bootstrap {config})
  metrics   {metrics}  (also /ready and /health)
  alerts    {command} alerts list {config}
  records   {command} receipts show ID {config}
            (ID: an answer's header x-watchgate-receipt)
  logs      {_shown(run.folder)}/*.log
  settings  {_shown(run.config)}

Ctrl-C stops everything.
"""


def make_key(run: Run) -> str:
    """Return a fresh key of the project `local`, good for 30 days."""
    command = [*WATCHGATE, "keys", "create", "--project", "local", "--expires", "30d", "--json"]
    done = subprocess.run(
        [*command, "--config", str(run.config)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotRun(f"no key could be made: {done.stderr.strip()}")
    return str(json.loads(done.stdout)["key"])


def first_model(url: str) -> str:
    """Return the first model that an upstream lists.

    Raises:
        CannotRun: it does not answer, or lists none.
    """
    answer = get(f"{url}/v1/models")
    try:
        models: list[dict[str, Any]] = json.loads(answer or b"")["data"]
        return str(models[0]["id"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise CannotRun(
            f"{url}/v1/models lists no model: is a vLLM there? If it asks for a key, set "
            "VLLM_API_KEY and name the model with MODEL="
        ) from None


def say(line: str) -> None:
    """Write a line of progress to stderr."""
    sys.stderr.write(f"run: {line}\n")
    sys.stderr.flush()


def _write(config: Path, url: str, model: str, sockets: Path | None = None) -> None:
    """Write settings like the example's, which holds the operating points for our detectors.

    `sockets`: where the gateway listens to probes inside vLLM, if a socket's path may be so long.
    """
    example = yaml.safe_load((ROOT / "watchgate.example.yaml").read_text(encoding="utf-8"))
    upstream: dict[str, Any] = {"name": "local", "url": url, **_api_key()}
    settings: dict[str, Any] = {
        "data_dir": "./data",
        "gateway": example["gateway"],
        "console": example["console"],
        "ops": example["ops"],
        "upstreams": [upstream],
        "models": [{"name": model, "upstream": "local", "upstream_model": model, "tier": 1}],
        "store": {"url": "sqlite:///data/watchgate.db"},
        "operating_points": example["operating_points"],
    }
    if sockets is not None and len(str(sockets).encode()) <= MOST_SOCKETS_BYTES:
        upstream["probes"] = {"sockets": str(sockets)}
        settings["detectors"] = [{"kind": it} for it in ("lexical", "rules", "probe")]
    head = "# Made by `make run`; every key is described in docs/settings.md.\n"
    config.write_text(head + yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def _api_key() -> dict[str, str]:
    return {"api_key": "${VLLM_API_KEY}"} if os.environ.get("VLLM_API_KEY") else {}


def _become_ready_for_vllm(stop: threading.Event) -> None:
    """Install vLLM and make the small model, where that is not done yet."""
    with subprocess.Popen([*WATCHGATE, "vllm", "--prepare"], start_new_session=True) as preparing:
        while preparing.poll() is None:
            if stop.wait(0.2):
                os.killpg(preparing.pid, signal.SIGTERM)  # pip too
                raise Stopped
    if preparing.returncode:
        raise CannotRun("vLLM could not be prepared, see above")


def _parts(run: Run) -> list[Part]:
    """Name what is started, in order; it is stopped in this order too: the gateway first."""
    drain_s = run.settings.gateway.drain_s
    up = Part("watchgate", [*WATCHGATE, "up", "--config", str(run.config)], 3 * (drain_s + 15))
    if not run.local:
        return [up]
    host, port = _address(run.upstream)
    name = run.settings.models[0].upstream_model
    command = [*WATCHGATE, "vllm", "--served-name", name, "--host", host, "--port", str(port)]
    if (probes := run.settings.upstreams[0].probes) is not None and probes.sockets is not None:
        command += ["--probe-sockets", str(probes.sockets)]
    return [up, Part("vllm", command, 30.0)]


def _ports(run: Run) -> list[tuple[tuple[str, int], str]]:
    settings = run.settings
    wanted = [
        ((settings.gateway.host, settings.gateway.port), "the gateway"),
        ((settings.console.host, settings.console.port), "the admin API"),
        ((settings.ops.host, settings.ops.port), "the ops endpoint"),
    ]
    if run.local:
        wanted.append((_address(run.upstream), "vLLM"))
    return wanted


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or _DEFAULT_PORTS[parts.scheme]


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104


def _shown(path: Path) -> str:
    """Return a path as short as it can be from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--upstream", help="a vLLM that is there already, e.g. http://host:8000")
    parser.add_argument("--model", help="its name there (default: the first that is listed)")
    parser.add_argument("--folder", type=Path, default=Path("var/run"), help="settings, data, logs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
