"""Logs: one JSON object a line, on stderr. Never the text of a prompt or an answer."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "taskName", "color_message",
}  # fmt: skip
"""What a record has beside `extra`; uvicorn says everything once more in colours."""


class JsonFormatter(logging.Formatter):
    """Lays a record out as JSON: time, level, process, logger, message, and what `extra` holds."""

    def __init__(self, process: str) -> None:
        """Name the process that speaks."""
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        line: dict[str, Any] = {
            **extra,
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            # its words and its frames might hold what a caller wrote
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


def set_up_logs(process: str, level: str) -> None:
    """Send all logs of this process to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("kafka", "alembic", "httpx"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
