"""The entry point: vLLM calls `register` in each of its processes before it loads a model.

WATCHGATE_PROBES=/models/probes WATCHGATE_PROBE_SOCKETS=/run/watchgate/probes vllm serve …

Gateways of other machines are named by WATCHGATE_PROBE_GATEWAYS in place of the folder.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vllm_probe.addresses import Addresses, Certificates, gateways_of
from vllm_probe.errors import ProbeError
from vllm_probe.meeting import Way
from vllm_probe.sockets import SocketFolder

_log = logging.getLogger("vllm.watchgate_probe")
PROBES: Final = "WATCHGATE_PROBES"
SOCKETS: Final = "WATCHGATE_PROBE_SOCKETS"
"""The folder in which the gateways of this machine listen."""
GATEWAYS: Final = "WATCHGATE_PROBE_GATEWAYS"
"""host:port[,host:port] of gateways of other machines."""
CERTIFICATES: Final = ("WATCHGATE_PROBE_CERT", "WATCHGATE_PROBE_KEY", "WATCHGATE_PROBE_CA")
"""Files: what is shown to those, its key, and who signed theirs."""
CACHED: Final = "WATCHGATE_PROBE_CACHED"
"""1: keep the scores of the tokens in vLLM's cache."""


def register() -> None:
    """Listen to this process's worker, if the environment names probes and gateways."""
    if not (folder := os.environ.get(PROBES)):
        return
    try:
        if (way := way_of(os.environ)) is not None:
            _listen(Path(folder), way)
    except Exception:  # noqa: BLE001  (whatever it was: vLLM serves on)
        _log.exception("the probes are not armed")


def way_of(environ: Mapping[str, str]) -> Way | None:
    """Return how gateways are found; None: nobody names any.

    Raises:
        ProbeError: they are named in two ways, or not as they should be.
    """
    sockets, gateways = environ.get(SOCKETS), environ.get(GATEWAYS)
    if sockets and gateways:
        raise ProbeError(f"{SOCKETS} and {GATEWAYS} are two ways to the gateways: set one of them")
    if sockets:
        return SocketFolder(Path(sockets))
    if not gateways:
        return None
    if missing := [name for name in CERTIFICATES if not environ.get(name)]:
        raise ProbeError(f"{GATEWAYS} needs {', '.join(missing)}: name a file of PEM with each")
    cert, key, ca = (Path(environ[name]) for name in CERTIFICATES)
    return Addresses(gateways_of(gateways), Certificates(cert, key, ca))


def _listen(folder: Path, way: Way) -> None:
    import vllm  # noqa: PLC0415  (not before vLLM has asked for us)
    from vllm.v1.worker.gpu_worker import Worker  # noqa: PLC0415

    from vllm_probe.arming import check, check_version  # noqa: PLC0415
    from vllm_probe.hooks import listen  # noqa: PLC0415
    from vllm_probe.probes import load  # noqa: PLC0415
    from vllm_probe.reader import Reader  # noqa: PLC0415
    from vllm_probe.sender import Sender  # noqa: PLC0415
    from vllm_probe.wire import VERSION, Hello  # noqa: PLC0415

    check_version(vllm.__version__)
    probes = load(folder)

    cached = os.environ.get(CACHED) == "1"

    def arm(worker: Any) -> Reader:  # noqa: ANN401  (vLLM's Worker)
        check(probes, worker.vllm_config, cached=cached)
        categories = tuple(it.category for it in probes.probes)
        hello = Hello(VERSION, probes.digest, probes.binding.weights, categories)
        sender = Sender(way, hello)
        reader = Reader(worker.model_runner, probes, sender, cached=cached)
        sender.start()
        _log.info("the probes %s are armed", probes.digest)
        return reader

    listen(Worker, arm)
