"""Recorded answers of Gemini's, read as they came, byte by byte and with CRLF, say what was recorded.

HEADGATE_CONFORMANCE names the folder that has them in `cases/`; they are not part of this project.
"""

import json
import os
from base64 import b64decode
from pathlib import Path

import pytest

from headgate.core.events import Reply
from headgate.core.seams import Answered
from headgate.dialects.gemini_answer import AnswerReader, StreamReader
from headgate.providers.gemini import Options, connect
from headgate.testing import ScriptedWire

BESIDE = Path(__file__).parents[2].parent / "shared" / "conformance"
FOLDER = Path(os.environ.get("HEADGATE_CONFORMANCE", BESIDE)) / "cases"
CASES = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
GENERATE = [case for case in CASES if case["protocol"] == "gemini-generate"]
GOOD = [case for case in GENERATE if case["response"]["status"] < 400]
BAD = [case for case in GENERATE if case["response"]["status"] >= 400]
FAULTS = {400: {"upstream_rejected", "upstream_auth"}, 404: {"not_found"}, 429: {"upstream_busy"}}
REASONS = {
    "stop": {"stop"},
    "length": {"length"},
    "tool_calls": {"tool"},
    "content_filter": {"filter"},
    "malformed": {"error"},
    "other": {"other"},
}

pytestmark = pytest.mark.skipif(not GENERATE, reason=f"no recorded answers of Gemini's in {FOLDER}")


def body_of(case):
    response = case["response"]
    return b64decode(response["body_b64"]) if "body_b64" in response else response["body"].encode()


def as_crlf(body):
    return body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def read(case, body, size):
    reader = StreamReader() if case["stream"] else AnswerReader()
    reply = Reply()
    for at in range(0, len(body), size):
        for event in reader.feed(body[at : at + size]):
            reply.add(event)
    for event in reader.close():
        reply.add(event)
    return reply


@pytest.mark.parametrize("form", ["whole", "pieces", "bytes", "crlf"])
@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["id"])
def test_a_recorded_answer_says_what_was_recorded(case, form):
    body = as_crlf(body_of(case)) if form == "crlf" else body_of(case)
    size = {"whole": len(body), "pieces": 7, "bytes": 1, "crlf": 5}[form]
    reply = read(case, body, size)
    expected = case["expected"]

    assert reply.begin.id == (expected["id"] or "")
    assert reply.begin.model == (expected["model"] or "")
    assert len(reply.choices) == len(expected["choices"])
    for said, wanted in zip(reply.choices, expected["choices"], strict=True):
        assert said.text == wanted["text"]
        assert said.thinking == wanted["reasoning"]
        calls = [(call.name, json.loads(call.arguments)) for call in said.calls]
        assert calls == [(call["name"], call["args"]) for call in wanted["tool_calls"]]
        ids = [call.id for call in said.calls]
        assert all(ids)
        assert len(set(ids)) == len(ids)
        if wanted["finish"]:
            assert said.done.reason in REASONS[wanted["finish"]]
    if usage := expected["usage"]:
        assert reply.usage.tokens_in in usage["in_ok"]
        assert reply.usage.tokens_out in usage["out_ok"]
        assert reply.usage.cached == (usage["cached"] or 0)
        assert reply.usage.reasoning == (usage["reasoning"] or 0)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["id"])
def test_a_recorded_error_is_the_fault_it_means(case):
    response = case["response"]
    provider = connect(Options(api_key="k"), ScriptedWire())
    fault = provider.fault(Answered(response["status"], response["headers"], body_of(case)))
    assert fault.code in FAULTS[response["status"]]
