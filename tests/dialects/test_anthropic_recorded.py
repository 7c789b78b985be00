"""Recorded exchanges with Anthropic: answers mean what was recorded, requests come out as they went in.

HEADGATE_CONFORMANCE names the folder that has them in `cases/`; they are not part of this project.
"""

import json
import os
from importlib import import_module
from pathlib import Path

import pytest

from dialects._anthropic_samples import fold, read, receipt
from headgate.core.faults import Fault
from headgate.dialects.anthropic_messages import parse, parse_count
from headgate.dialects.anthropic_messages_reader import (
    AnswerReader,
    StreamReader,
    Watcher,
    WholeWatcher,
    read_count,
)
from headgate.dialects.anthropic_messages_request import count_request, request
from headgate.dialects.anthropic_messages_writer import Writer, whole

BESIDE = Path(__file__).parents[2].parent / "shared" / "conformance"
FOLDER = Path(os.environ.get("HEADGATE_CONFORMANCE", BESIDE))
CASES = [json.loads(path.read_text()) for path in sorted((FOLDER / "cases").glob("*.json"))]
MESSAGES = [case for case in CASES if case["protocol"] == "anthropic-messages"]
ANSWERED = [case for case in MESSAGES if case["response"]["status"] == 200]
REFUSED = [case for case in MESSAGES if case["response"]["status"] >= 400]
ASKED = [case for case in MESSAGES if case["request"]["body"]]
COUNTS = [case for case in CASES if case["protocol"] == "anthropic-count"]
REASONS = {"stop": "stop", "length": "length", "tool_calls": "tool", "content_filter": "filter", "pause": "pause"}

pytestmark = pytest.mark.skipif(not MESSAGES, reason=f"no recorded answers of Anthropic's in {FOLDER}")


@pytest.fixture
def recorded(monkeypatch):
    """A module that lies beside the recordings."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module


def name(case):
    return case["id"]


def chunks(body, form):
    if form == "crlf":
        body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    size = {"whole": len(body), "pieces": 7, "bytes": 1, "crlf": 5}[form]
    return [body[at : at + size] for at in range(0, len(body), size)]


def call_of(case):
    body = case["request"]["body"] or {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    return parse({**body, "stream": case["stream"]}, b"")


@pytest.mark.parametrize("form", ["whole", "pieces", "bytes", "crlf"])
@pytest.mark.parametrize("case", ANSWERED, ids=name)
def test_a_recorded_answer_says_what_was_recorded(case, form):
    reader = StreamReader() if case["stream"] else AnswerReader()
    reply = fold(read(reader, *chunks(case["response"]["body"].encode(), form)))
    expected = case["expected"]
    (wanted,) = expected["choices"]
    said = reply.choice(0)
    assert (reply.begin.id, reply.begin.model) == (expected["id"], expected["model"])
    assert (said.text, said.thinking) == (wanted["text"], wanted["reasoning"])
    calls = [(call.id, call.name, json.loads(call.arguments)) for call in said.calls]
    assert calls == [(call["id"], call["name"], call["args"]) for call in wanted["tool_calls"]]
    assert (said.done.reason, said.done.raw) == (REASONS[wanted["finish"]], wanted["finish_raw"])
    assert reply.usage.tokens_in in expected["usage"]["in_ok"]
    assert reply.usage.tokens_out in expected["usage"]["out_ok"]
    assert reply.usage.cached == expected["usage"]["cached"]


@pytest.mark.parametrize("form", ["whole", "pieces", "bytes", "crlf"])
@pytest.mark.parametrize("passing", [True, False], ids=["passed on", "rewritten"])
@pytest.mark.parametrize("case", ANSWERED, ids=name)
def test_what_is_sent_on_says_what_was_recorded(case, passing, form, recorded):
    readers = (Watcher, WholeWatcher) if passing else (StreamReader, AnswerReader)
    call, expected = call_of(case), case["expected"]
    events = read(readers[not case["stream"]](), *chunks(case["response"]["body"].encode(), form))
    usage = fold(events).usage
    used = {"tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out, "cached": usage.cached}
    if case["stream"]:
        writer = Writer(call)
        sent = b"".join(writer.feed(event) for event in [*events, receipt(**used)])
        kind = "text/event-stream"
    else:
        sent, kind = whole(call, fold(events)), "application/json"
    said = recorded("norm").normalize("anthropic-messages", 200, {"content-type": kind}, sent)
    assert said["lint"] == []
    for part in ("text", "reasoning", "finish", "finish_raw"):
        assert [choice[part] for choice in said["choices"]] == [choice[part] for choice in expected["choices"]]
    calls = [[(call["id"], call["name"], call["args"]) for call in c["tool_calls"]] for c in said["choices"]]
    assert calls == [[(t["id"], t["name"], t["args"]) for t in c["tool_calls"]] for c in expected["choices"]]
    assert said["usage"]["in"] in expected["usage"]["in_ok"]
    assert said["usage"]["out"] in expected["usage"]["out_ok"]


@pytest.mark.parametrize("case", REFUSED, ids=name)
def test_a_recorded_error_is_a_fault_wherever_it_comes(case):
    with pytest.raises(Fault):
        read(AnswerReader(), case["response"]["body"].encode())
    with pytest.raises(Fault):
        read(StreamReader(), b"event: error\ndata: " + case["response"]["body"].encode() + b"\n\n")


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("case", ASKED, ids=name)
def test_a_recorded_request_comes_out_as_it_went_in(case, native, recorded):
    if "native_only" in case["tags"] and not native:
        pytest.skip("it asks for what only Anthropic has")
    reqs = recorded("reqs")
    body = case["request"]["body"]
    made = request(parse(body, b"").prompt, body["model"], stream=bool(body.get("stream")), native=native)
    parsed = [reqs.parse_req("anthropic-messages", fields) for fields in (body, made)]
    assert reqs.diff_req(*parsed) == []
    if native:
        assert parsed[0]["fatal"] == parsed[1]["fatal"]
        assert parsed[0]["soft"] == parsed[1]["soft"]


@pytest.mark.parametrize("case", COUNTS, ids=name)
def test_a_recorded_count_is_asked_and_read(case, recorded):
    reqs = recorded("reqs")
    body = case["request"]["body"]
    made = count_request(parse_count(body, b"").prompt, body["model"], native=True)
    assert reqs.diff_req(*(reqs.parse_req("anthropic-count", fields) for fields in (body, made))) == []
    assert read_count(case["response"]["body"].encode()) == case["expected"]["count"]
