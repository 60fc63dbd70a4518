"""The entry point: vLLM calls `register` in each of its processes before it loads a model.

WATCHGATE_PROBES=/models/probes WATCHGATE_PROBE_SOCKETS=/run/watchgate/probes vllm serve …
"""

import logging
import os
from pathlib import Path
from typing import Any, Final

_log = logging.getLogger("vllm.watchgate_probe")
PROBES: Final = "WATCHGATE_PROBES"
SOCKETS: Final = "WATCHGATE_PROBE_SOCKETS"
"""The folder in which the gateways listen."""
CACHED: Final = "WATCHGATE_PROBE_CACHED"
"""1: keep the scores of the tokens in vLLM's cache."""


def register() -> None:
    """Listen to this process's worker, if the environment names probes and gateways."""
    folder, sockets = os.environ.get(PROBES), os.environ.get(SOCKETS)
    if not folder or not sockets:
        return
    try:
        _listen(Path(folder), Path(sockets))
    except Exception:  # noqa: BLE001  (whatever it was: vLLM serves on)
        _log.exception("the probes are not armed")


def _listen(folder: Path, sockets: Path) -> None:
    import vllm  # noqa: PLC0415  (not before vLLM has asked for us)
    from vllm.v1.worker.gpu_worker import Worker  # noqa: PLC0415

    from vllm_probe.arming import check, check_version  # noqa: PLC0415
    from vllm_probe.hooks import Reader, listen  # noqa: PLC0415
    from vllm_probe.probes import load  # noqa: PLC0415
    from vllm_probe.sender import Sender  # noqa: PLC0415
    from vllm_probe.watch import Watch  # noqa: PLC0415
    from vllm_probe.wire import VERSION, Hello  # noqa: PLC0415

    check_version(vllm.__version__)
    probes = load(folder)

    cached = os.environ.get(CACHED) == "1"

    def arm(worker: Any) -> Reader:  # noqa: ANN401  (vLLM's Worker)
        check(probes, worker.vllm_config, cached=cached)
        categories = tuple(it.category for it in probes.probes)
        hello = Hello(VERSION, probes.digest, probes.binding.weights, categories)
        sender = Sender(sockets, hello)
        _log.info("the probes %s are armed", probes.digest)
        return Reader(worker.model_runner, probes, Watch(probes, sender.tell), cached=cached)

    listen(Worker, arm)
