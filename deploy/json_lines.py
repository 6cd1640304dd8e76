"""The log as JSON, an object a line, for programs that collect logs."""

import json
import logging
from datetime import UTC, datetime

from negsift.trainer.folder import without_nan


class JsonLines(logging.Formatter):
    """Time, level, name and message of a record, then the facts that lie on it, such as an epoch's."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname, "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(without_nan(said | getattr(record, "negsift", {})), default=str)


def log_as_json() -> None:
    """Have this process write its log so from now on."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
