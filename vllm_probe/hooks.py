"""Where vLLM's worker is listened to. Whatever fails here ends the reading, and nothing else."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Protocol

from vllm_probe.errors import ProbeError

_log = logging.getLogger("vllm.watchgate_probe")
ARMED: Final = "_watchgate_probe"
"""Where a worker has its reader; None: it was not armed, or something failed."""
CHANGES: Final = ("reload_weights", "reset_weights", "start_weight_update", "update_weights")
"""What vLLM has to put other weights in the place of those that the probes were checked against."""


class Reads(Protocol):
    """What reads the steps of a worker."""

    def before(self, scheduled: Any) -> None:  # noqa: ANN401  (vLLM's SchedulerOutput)
        """Hear which step is computed next."""

    def after(self, scheduled: Any) -> None:  # noqa: ANN401
        """Take what it computed."""

    def end(self) -> None:
        """Let the gateways know that nothing more is read."""


def listen(worker: type, arm: Callable[[Any], Reads]) -> None:
    """Have workers of a class arm themselves when their model is loaded, and read each step."""
    if hasattr(worker, ARMED):
        return
    setattr(worker, ARMED, None)
    _put(worker, "load_model", lambda load: _arming(load, arm))
    _put(worker, "execute_model", _reading)
    for name in CHANGES:
        if hasattr(worker, name):
            _put(worker, name, _ending)


def _put(worker: type, name: str, around: Callable[[Any], Any]) -> None:
    method = getattr(worker, name)
    setattr(worker, name, wraps(method)(around(method)))


def _arming(load: Any, arm: Callable[[Any], Reads]) -> Any:  # noqa: ANN401
    def load_model(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        _disarm(self)
        loaded = load(self, *args, **kwargs)
        try:
            setattr(self, ARMED, arm(self))
        except ProbeError as error:
            _log.error("the probes are not armed: %s", error)
        except Exception:  # noqa: BLE001  (whatever it was: vLLM serves on)
            _log.exception("the probes are not armed")
        return loaded

    return load_model


def _reading(execute: Any) -> Any:  # noqa: ANN401
    def execute_model(self: Any, scheduled: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        reader = getattr(self, ARMED)
        if reader is None:
            return execute(self, scheduled, *args, **kwargs)
        _try(self, reader.before, scheduled)
        output = execute(self, scheduled, *args, **kwargs)
        _try(self, reader.after, scheduled)
        return output

    return execute_model


def _ending(change: Any) -> Any:  # noqa: ANN401
    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if getattr(self, ARMED) is not None:
            _log.error(
                "the probes are disarmed: the weights change; they arm when vLLM starts anew"
            )
        _disarm(self)
        return change(self, *args, **kwargs)

    return changed


def _try(worker: Any, read: Callable[[Any], None], scheduled: Any) -> None:  # noqa: ANN401
    if getattr(worker, ARMED) is None:
        return
    try:
        read(scheduled)
    except Exception:  # noqa: BLE001  (whatever it was: vLLM serves on)
        _log.exception("the probes are disarmed")
        _disarm(worker)


def _disarm(worker: Any) -> None:  # noqa: ANN401
    if (reader := getattr(worker, ARMED)) is not None:
        setattr(worker, ARMED, None)
        reader.end()
