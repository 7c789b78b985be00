"""What a line of the log may hold, whoever's words go into it."""

import io
import json
import logging
import sys

import pytest

from headgate.core.entry import Entry
from headgate.core.trace import begun
from headgate.telemetry.logs import FIELDS, LONGEST, CallLog, JsonFormatter, TextFormatter

HOSTILE = [
    "x\n2026-11-21 info everything is fine",
    "x\r\nforged",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "\u202eevil\u2066",
    "a\u2028b\u2029c",
    "\x00\x7f",
    "half \ud800 a pair",
    "tag \U000e0041",
    '"}, {"level": "fatal',
]


def record(message, *args, error=None, **fields):
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("headgate", logging.ERROR, __file__, 1, message, args, info)
    made.__dict__.update(fields)
    return made


def failing(message):
    try:
        try:
            raise KeyError(message)
        except KeyError as error:
            raise ValueError(message) from error
    except ValueError as error:
        return error


def written(form, entry, level="info"):
    stream = io.StringIO()
    CallLog(level, form, stream).write([entry])
    return stream.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(), JsonFormatter(talkative=True)])
def test_a_message_is_one_printable_line_whatever_is_in_it(formatter, text):
    line = formatter.format(record("it said %s", text, reason=text, request_id=text))
    assert line.isprintable()
    assert line.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_call_is_one_printable_line_whatever_its_caller_sent(form, text):
    text = text.encode("utf-8", "replace").decode()  # entries come back from the outbox, which has no half pairs
    line = written(form, Entry(id="1", at=0, request_id="r", kind="user", principal=text, model=text, target=text))
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if form == "json":
        assert json.loads(line)["caller"] == f"user:{text}"
        assert json.loads(line)["level"] == "info"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_what_exceptions_say_is_left_out_but_not_where_they_were_raised(formatter):
    said = formatter.format(record("bug", error=failing("the caller's secret words")))
    assert "secret" not in said
    assert "builtins.ValueError" in said
    assert "builtins.KeyError" in said
    assert "test_logs.py" in said
    assert "failing" in said


@pytest.mark.parametrize("formatter", [JsonFormatter(talkative=True), TextFormatter(talkative=True)])
def test_on_the_level_debug_exceptions_say_what_they_have_to_say(formatter):
    said = formatter.format(record("bug", error=failing("words\nof a caller")))
    assert "ValueError: words" in said
    assert "\nof a caller" not in said


def test_only_named_fields_are_written():
    line = json.loads(JsonFormatter().format(record("x", request_id="r", api_key="sk-secret", body="hello")))
    assert set(line) == {"at", "level", "logger", "message", "request_id"}
    assert "sk-secret" not in TextFormatter().format(record("x", request_id="r", api_key="sk-secret"))
    assert not {"body", "prompt", "key", "headers"} & set(FIELDS)


def test_an_endless_message_is_cut():
    assert len(TextFormatter().format(record("%s", "x" * 10**6))) < LONGEST + 100


def test_a_call_in_json_has_exactly_these_fields():
    entry = Entry(id="1", at=1_700_000_000.25, request_id="r", status="refused", error="rate_limited", limit="l-60s")
    entry.trace = begun(sampled=True)
    line = json.loads(written("json", entry))
    assert (line["at"], line["limit"], line["trace"]) == ("2023-11-14T22:13:20.250Z", "l-60s", entry.trace.id)
    fields = "at level logger message request_id surface caller model target status error limit tries trace "
    assert " ".join(line) == fields + "tokens_in tokens_out cost_usd ms"


@pytest.mark.parametrize(
    ("level", "status", "there"),
    [("info", "ok", True), ("warning", "ok", False), ("warning", "failed", True), ("error", "failed", False)],
)
def test_the_level_says_which_calls_are_told(level, status, there):
    assert bool(written("text", Entry(id="1", at=0, request_id="r", status=status), level)) is there


def test_nothing_escapes_by_standard_error_of_the_logging_module(capsys):
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.handle(record("%s", "half \ud800 a pair"))
    assert "Logging error" not in capsys.readouterr().err
