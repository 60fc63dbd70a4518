"""Gateways of others in front of the same mock: LiteLLM and Portkey's, installed when asked for.

One process each, set up to proxy plainly, without access logs, retries or calls to the outside.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from load_tests.configs import litellm_config
from load_tests.on_demand import NotInstallableError, node_environment, python_environment
from load_tests.processes import FOLDER, answers_200, child, free_port, listens, wait_until
from load_tests.systems import Missing, Running, Site

START_S: Final = 120.0
LITELLM_ENVIRONMENT: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it is fetched from the outside
    "LITELLM_LOG": "ERROR",
    "NO_COLOR": "1",
}
LITELLM_LOGS: Final = """\
{"version": 1, "disable_existing_loggers": false, "loggers": {"uvicorn.access": {"level": "ERROR"}}}
"""


@contextmanager
def litellm(site: Site) -> Iterator[Running]:
    """LiteLLM's proxy from PyPI: one worker, a master key, no database."""
    try:
        program = python_environment("litellm") / "litellm"
    except NotInstallableError as why:
        raise Missing(str(why)) from why
    port, log, key = free_port(), site.folder / "litellm.log", f"sk-{secrets.token_hex(24)}"
    config, logs = site.folder / "litellm.yaml", site.folder / "litellm-logs.json"
    config.write_text(litellm_config(upstream_port=site.mock_port, models=site.models, key=key))
    logs.write_text(LITELLM_LOGS)
    options = ("--host", "127.0.0.1", "--port", port, "--num_workers", 1, "--log_config", logs)
    command = [*_with_environment(LITELLM_ENVIRONMENT), program, "--config", config, *options]
    with child(command, log=log, core=site.core) as process:
        alive = f"http://127.0.0.1:{port}/health/liveliness"
        wait_until(lambda: answers_200(alive), process, log, limit_s=START_S)
        # It ends a stream with a chunk of its own for the finish_reason.
        yield Running("litellm", port, process.pid, key=key, extra_events=1)


@contextmanager
def portkey(site: Site) -> Iterator[Running]:
    """Portkey's gateway from npm: one process of Node.js; which upstream, each request says."""
    source = FOLDER / "portkey"
    try:
        modules = node_environment(source)
    except NotInstallableError as why:
        raise Missing(str(why)) from why
    port, log = free_port(), site.folder / "portkey.log"
    program = modules / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    command = ["node", "--require", source / "only_local.cjs", program, f"--port={port}"]
    with child([*command, "--headless"], log=log, core=site.core) as process:
        wait_until(lambda: listens(port), process, log, limit_s=START_S)
        host = f"http://127.0.0.1:{site.mock_port}/v1"
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": host}
        yield Running("portkey", port, process.pid, headers=headers)


def _with_environment(names: dict[str, str]) -> list[object]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return ["env", "-i", *(f"{name}={value}" for name, value in (kept | names).items())]
