"""Recorded answers of the Responses API, as they came, in pieces, byte by byte and with CRLF, say what was recorded.

HEADGATE_CONFORMANCE names the folder that has them in `cases/`; they are not part of this project.
"""

import json
import os
from base64 import b64decode
from importlib import import_module
from pathlib import Path

import pytest

from headgate.core.entry import Entry
from headgate.core.events import Extra, Receipt, Reply, Verbatim
from headgate.core.seams import Answered
from headgate.dialects.openai_responses import parse
from headgate.dialects.openai_responses_reader import AnswerReader, StreamReader, Watcher, WholeWatcher
from headgate.dialects.openai_responses_writer import Writer, whole
from headgate.providers.openai import Options, connect
from headgate.testing import ScriptedWire

BESIDE = Path(__file__).parents[2].parent / "shared" / "conformance"
FOLDER = Path(os.environ.get("HEADGATE_CONFORMANCE", BESIDE)) / "cases"
CASES = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
RECORDED = [case for case in CASES if case["protocol"] == "openai-responses"]
GOOD = [case for case in RECORDED if case["response"]["status"] < 400 and not case["expected"].get("error")]
BAD = [case for case in RECORDED if case["response"]["status"] >= 400]
FAULTS = {400: {"upstream_rejected", "upstream_auth"}, 401: {"upstream_auth"}, 404: {"not_found"}}
REASONS = {"stop": "stop", "length": "length", "tool_calls": "tool", "content_filter": "filter"}
FORMS = {"whole": 10**9, "pieces": 7, "bytes": 1, "crlf": 5}

pytestmark = pytest.mark.skipif(not RECORDED, reason=f"no recorded answers of the Responses API in {FOLDER}")


@pytest.fixture
def recorded(monkeypatch):
    """A module that lies beside the recordings."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    return import_module


def body_of(case):
    response = case["response"]
    return b64decode(response["body_b64"]) if "body_b64" in response else response["body"].encode()


def events_of(reader, body, size=10**9):
    events = []
    for at in range(0, len(body), size):
        events += reader.feed(body[at : at + size])
    return [*events, *reader.close()]


def fold(events):
    reply = Reply()
    for event in events:
        reply.add(event)
    return reply


def assert_as_recorded(reply, expected):
    said, wanted = reply.choices[0], expected["choices"][0]
    assert said.text == wanted["text"]
    assert said.refusal == (wanted["refusal"] or "")
    assert "".join(said.thinking.split()) == "".join(wanted["reasoning"].split())
    calls = [(call.id, call.name, json.loads(call.arguments)) for call in said.calls]
    assert calls == [(call["id"], call["name"], call["args"]) for call in wanted["tool_calls"]]
    assert said.done.reason == REASONS[wanted["finish"]]
    if usage := expected["usage"]:
        assert reply.usage.tokens_in in usage["in_ok"]
        assert reply.usage.tokens_out in usage["out_ok"]
        assert reply.usage.cached == (usage["cached"] or 0)
        assert reply.usage.reasoning == (usage["reasoning"] or 0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["id"])
def test_a_recorded_answer_says_what_was_recorded(case, form):
    body = body_of(case)
    if form == "crlf":
        body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    reply = fold(events_of(StreamReader() if case["stream"] else AnswerReader(), body, FORMS[form]))
    assert (reply.begin.id, reply.begin.model) == (case["expected"]["id"], case["expected"]["model"])
    assert_as_recorded(reply, case["expected"])


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["id"])
def test_a_recorded_answer_survives_being_written_and_read_again(case, recorded):
    call = parse({"input": "x"}, b"")
    entry = Entry(id="1", at=0.0, request_id="r")
    events = events_of(StreamReader() if case["stream"] else AnswerReader(), body_of(case))
    if case["stream"]:
        writer = Writer(call)
        again = StreamReader()
        written = b"".join(writer.feed(event) for event in [*events, Receipt(entry)])
        assert recorded("norm").openai_responses_stream(written)["lint"] == []
    else:
        again = AnswerReader()
        written = whole(call, fold([*events, Receipt(entry)]))
    assert_as_recorded(fold(events_of(again, written)), case["expected"] | {"usage": None, "id": None})


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["id"])
def test_a_watched_answer_is_passed_on_untouched(case):
    body = body_of(case)
    if not case["stream"]:
        assert fold(events_of(WholeWatcher(), body)).verbatim == body
        return
    events = events_of(Watcher(), body, 100)
    passed = b"".join(event.data for event in events if isinstance(event, Verbatim))
    (final,) = [event.value for event in events if isinstance(event, Extra)]
    lines = [line for line in body.splitlines() if line.startswith(b"data:") and b"[DONE]" not in line]
    assert [line for line in passed.splitlines() if line.startswith(b"data:")] == lines[:-1]
    assert final == json.loads(lines[-1].removeprefix(b"data:"))


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["id"])
def test_a_recorded_error_is_the_fault_it_means(case):
    response = case["response"]
    provider = connect(Options(api_key="k"), ScriptedWire())
    fault = provider.fault(Answered(response["status"], response["headers"], body_of(case)))
    assert fault.code in FAULTS[response["status"]]
