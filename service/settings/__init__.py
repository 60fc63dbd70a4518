"""One frozen `Settings`, from watchgate.yaml and the environment: the only reader of either.

`${NAME}` in a text takes the environment's NAME; `WATCHGATE_GATEWAY__PORT=9000` overrides the
file's `gateway: {port: ...}`. Relative paths are relative to the file. All that is wrong is told
at once, in a `ConfigError` with one line for each mistake, which starts with the path of the key.
"""

from service.settings.environment import (
    ADMIN_TOKEN_VARIABLE,
    ADMIN_URL_VARIABLE,
    CONFIG_VARIABLE,
)
from service.settings.limits import MemoryLimits, RedisLimits
from service.settings.load import load, redacted
from service.settings.mistakes import Mistake, refuse
from service.settings.references import Check
from service.settings.sections import KafkaLog, Model, OperatingPoint, Settings
from service.settings.serving import ProbeListener, Probes, Upstream

__all__ = [
    "ADMIN_TOKEN_VARIABLE",
    "ADMIN_URL_VARIABLE",
    "CONFIG_VARIABLE",
    "Check",
    "KafkaLog",
    "MemoryLimits",
    "Mistake",
    "Model",
    "OperatingPoint",
    "ProbeListener",
    "Probes",
    "RedisLimits",
    "Settings",
    "Upstream",
    "load",
    "redacted",
    "refuse",
]
