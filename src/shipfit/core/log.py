"""Structured logs: one JSON object a line for programs, one readable line for people. Both go to standard error."""

from __future__ import annotations

import json
import logging
import sys

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message, and whatever the call gave as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields = {
            name: value for name, value in vars(record).items() if name not in _STANDARD and name[0] != "_"
        }
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(*, debug: bool = False, as_json: bool = False) -> None:
    """Set up logging for this process; called once, by whatever is its entry point.

    Args:
        debug: everything, else warnings and worse.
        as_json: one JSON object a line.
    """
    handler = logging.StreamHandler(sys.stderr)
    readable = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if as_json else readable)
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler], force=True)
