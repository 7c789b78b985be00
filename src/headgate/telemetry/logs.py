"""Logs: one line an event, for people or as JSON. Only named fields are written; never a body, a prompt or a secret.

What exceptions say may hold words of callers and upstreams, so only their types and places are written, unless the
level is `debug`. What is not printable is escaped, so that nobody's words forge a line or steer a terminal.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TextIO

import msgspec

from headgate.core.entry import Entry

FIELDS = ("request_id", "path", "target", "provider", "reason")
"""The extra fields that a log call may carry."""

LONGEST = 4000
"""Characters of a message; what is longer is cut."""
FRAMES = 30
CAUSES = 5

_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """One JSON object a line; with `talkative`, exceptions say what they have to say."""

    def __init__(self, *, talkative: bool = False) -> None:
        super().__init__()
        self._talkative = talkative

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON text."""
        line: dict[str, Any] = {
            "at": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escaped(record.getMessage()[:LONGEST]),
        }
        for name in FIELDS:
            if name in record.__dict__:
                line[name] = escaped(str(record.__dict__[name])[:LONGEST])
        if record.exc_info:
            line["exception"] = list(_exception(record, talkative=self._talkative))
        return _encode(line).decode()


class TextFormatter(logging.Formatter):
    """A short line for a terminal; with `talkative`, exceptions say what they have to say."""

    def __init__(self, *, talkative: bool = False) -> None:
        super().__init__()
        self._talkative = talkative

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, and a traceback below where there is one."""
        said = escaped(record.getMessage()[:LONGEST])
        values = {name: str(record.__dict__[name])[:LONGEST] for name in FIELDS if name in record.__dict__}
        extra = "".join(f" {name}={value!r}" for name, value in values.items())
        line = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.levelname.lower():7} {said}{extra}"
        if record.exc_info:
            line += "".join(f"\n  {part}" for part in _exception(record, talkative=self._talkative))
        return line


def escaped(text: str) -> str:
    r"""The text with what is not printable as `\u…`, as JSON writes it."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    words = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{words[at]:02x}{words[at + 1]:02x}" for at in range(0, len(words), 2))


def _exception(record: logging.LogRecord, *, talkative: bool) -> Iterator[str]:
    """The types of an exception and of what led to it, each with the places it came through, innermost last."""
    error = record.exc_info[1] if record.exc_info else None
    for _ in range(CAUSES):
        if error is None:
            return
        said = f": {escaped(str(error)[:LONGEST])}" if talkative else ""
        yield f"Traceback of {type(error).__module__}.{type(error).__qualname__}{said}"
        for frame in traceback.extract_tb(error.__traceback__, limit=-FRAMES):
            yield f"  {escaped(frame.filename)}:{frame.lineno} {frame.name}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def configure(level: str, form: str) -> None:
    """Send the process's logs to standard error; `form` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    talkative = level == "debug"
    handler.setFormatter(JsonFormatter(talkative=talkative) if form == "json" else TextFormatter(talkative=talkative))
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
        self._lines = _json_lines if form == "json" else _text_lines
        self._stream = stream

    def write(self, entries: Sequence[Entry]) -> None:
        """Write the lines of these calls, in one piece."""
        if not self._failed:
            return
        kept = entries if self._all else [e for e in entries if e.status in {"failed", "partial"}]
        if kept:
            self._stream.write("\n".join(self._lines(kept)) + "\n")
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
        "limit": entry.limit,
        "tries": entry.tries,
        "trace": entry.trace.id if entry.trace is not None else "",
        "tokens_in": entry.tokens_in,
        "tokens_out": entry.tokens_out,
        "cost_usd": entry.cost_usd,
        "ms": round(entry.total_ms, 1),
    }
    return escaped(_encode(line).decode())


def _json_lines(entries: Sequence[Entry]) -> Iterator[str]:
    return map(_json_line, entries)


def _text_lines(entries: Sequence[Entry]) -> Iterator[str]:
    second, clock = 0, ""
    safe = "".join([e.request_id for e in entries]).isprintable()
    for e in entries:
        if not clock or not 0 <= e.at - second < 1:
            second = int(e.at)
            clock = time.strftime("%H:%M:%S", time.localtime(second))
        about = _about(e.surface, e.kind, e.principal, e.model, e.provider, e.target, e.status, e.error, e.limit)
        id_ = e.request_id if safe else escaped(e.request_id)
        yield f"{clock}{about}{e.tokens_in}+{e.tokens_out} tokens {round(e.total_ms)} ms {id_}"


@lru_cache(maxsize=1024)
def _about(
    surface: str, kind: str, principal: str, model: str, provider: str, target: str, status: str, error: str, limit: str
) -> str:
    """What many calls have in common."""
    caller = f"{kind}:{principal}" if principal != kind else kind
    aim = f" -> {provider}/{target}" if target else ""
    end = " ".join(filter(None, (status, error, limit))) if error else status
    return escaped(f" call    {surface} {caller} {model[:100]}{aim} {end} ")


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _stamp(at: float) -> str:
    return f"{_second(int(at))}.{int(at % 1 * 1000):03}Z"
