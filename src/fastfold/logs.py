"""Log lines: one JSON object each on stderr, in which no text can forge a line or move a cursor."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone

from fastfold.text import json_line

__all__ = ["setup_logs"]


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": record.process,
            "thread": record.threadName,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json_line(line)


def setup_logs(level: str) -> None:
    """Send the log of fastfold in this process to stderr.

    Parameters
    ----------
    level : str
        Name of the least level shown.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    logger = logging.getLogger("fastfold")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
