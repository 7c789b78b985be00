"""Logs: one line an event, for people or as JSON. Only named fields are written; never a body, a prompt or a secret."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TextIO

import msgspec

from headgate.core.entry import Entry

FIELDS = ("request_id", "path", "target", "provider", "reason")
"""The extra fields that a log call may carry."""

_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """One JSON object a line; control characters cannot forge lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON text."""
        line: dict[str, Any] = {
            "at": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
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


class CallLog:
    """One line a finished call, written in batches: JSON objects, or words for a terminal.

    Everything is logged from level info on; from `warning` on only what failed.
    """

    def __init__(self, level: str, form: str, stream: TextIO) -> None:
        self._all = level in {"debug", "info"}
        self._failed = level != "error"
        self._render = _json_line if form == "json" else _text_line
        self._stream = stream

    def write(self, entries: Iterable[Entry]) -> None:
        """Write the lines of these calls, in one piece."""
        if not self._failed:
            return
        kept = entries if self._all else (e for e in entries if e.status in {"failed", "partial"})
        lines = "".join(self._render(entry) for entry in kept)
        if lines:
            self._stream.write(lines)
            self._stream.flush()


def _json_line(entry: Entry) -> str:
    level = "warning" if entry.status in {"failed", "partial"} else "info"
    line = {
        "at": _stamp(entry.at),
        "level": level,
        "logger": "headgate.calls",
        "message": "call",
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
    return _encode(line).decode() + "\n"


def _text_line(entry: Entry) -> str:
    status = f"{entry.status} {entry.error}" if entry.error else entry.status
    target = f" -> {entry.provider}/{entry.target}" if entry.target else ""
    caller = f"{entry.kind}:{entry.principal}" if entry.principal != entry.kind else entry.kind
    line = (
        f"{time.strftime('%H:%M:%S', time.localtime(entry.at))} call    {entry.surface} {caller} "
        f"{entry.model[:100]}{target} {status} {entry.tokens_in}+{entry.tokens_out} tokens {entry.total_ms:.0f} ms "
        f"{entry.request_id}"
    )
    return (line if line.isprintable() else line.encode("unicode_escape").decode()) + "\n"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _stamp(at: float) -> str:
    return f"{_second(int(at))}.{int(at % 1 * 1000):03}Z"
