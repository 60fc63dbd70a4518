"""One frozen `Settings`, from watchgate.yaml and the environment: the only reader of either.

`${NAME}` in a text takes the environment's NAME; `WATCHGATE_GATEWAY__PORT=9000` overrides the
file's `gateway: {port: ...}`. Relative paths are relative to the file. Whatever is wrong is a
`ConfigError` of one line that starts with the path of the key.
"""

from service.settings.load import load, redacted
from service.settings.sections import KafkaLog, Model, OperatingPoint, Settings
from service.settings.serving import Upstream

__all__ = ["KafkaLog", "Model", "OperatingPoint", "Settings", "Upstream", "load", "redacted"]
