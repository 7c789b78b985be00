"""Logs: one line an event, for people or as JSON. Only named fields are written; never a body, a prompt or a secret."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from headgate.core.entry import Entry

FIELDS = ("request_id", "path", "target", "provider", "reason")
"""The extra fields that a log call may carry."""

_encode = msgspec.json.Encoder().encode
_calls = logging.getLogger("headgate.calls")


class JsonFormatter(logging.Formatter):
    """One JSON object a line; control characters cannot forge lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON text."""
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        line |= record.__dict__.get("call", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line).decode()


class TextFormatter(logging.Formatter):
    """A short line for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, and a traceback below where there is one."""
        said = record.getMessage().encode("unicode_escape").decode()
        extra = "".join(f" {name}={record.__dict__[name]!r}" for name in FIELDS if name in record.__dict__)
        line = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.levelname.lower():7} {said}{extra}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str, form: str) -> None:
    """Send the process's logs to standard error; `form` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("asyncio", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def log_calls(entries: Iterable[Entry]) -> None:
    """One line a finished call, at level info; a failed one at warning."""
    for entry in entries:
        level = logging.WARNING if entry.status in {"failed", "partial"} else logging.INFO
        if not _calls.isEnabledFor(level):
            continue
        call = {
            "request_id": entry.request_id,
            "surface": entry.surface,
            "caller": f"{entry.kind}:{entry.principal}",
            "model": entry.model[:100],
            "target": f"{entry.provider}/{entry.target}" if entry.target else "",
            "status": entry.status,
            "error": entry.error,
            "tokens_in": entry.tokens_in,
            "tokens_out": entry.tokens_out,
            "cost_usd": entry.cost_usd,
            "ms": round(entry.total_ms, 1),
        }
        said = " ".join(f"{name}={value}" for name, value in call.items() if value not in ("", None))
        _calls.log(level, "call %s", said, extra={"call": call})
