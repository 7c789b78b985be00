"""Recorded exchanges with Mistral, Cohere, Ollama and embedding servers: they mean what was recorded.

HEADGATE_CONFORMANCE names the folder that has them in `cases/`; they are not part of this project.
"""

import json
import os
from base64 import b64decode
from importlib import import_module
from pathlib import Path

import pytest

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall
from headgate.core.events import Reply
from headgate.core.seams import Answered
from headgate.dialects import openai_chat
from headgate.providers import cohere, gemini, huggingface, mistral, ollama, openai
from headgate.testing import ScriptedWire

BESIDE = Path(__file__).parents[2].parent / "shared" / "conformance"
FOLDER = Path(os.environ.get("HEADGATE_CONFORMANCE", BESIDE))
CASES = [json.loads(path.read_text()) for path in sorted((FOLDER / "cases").glob("*.json"))]
VENDORS = {
    "mistral-chat": mistral,
    "cohere-chat": cohere,
    "ollama-chat": ollama,
    "ollama-generate": ollama,
    "openai-embeddings": openai,
    "cohere-embed": cohere,
    "gemini-embed": gemini,
    "ollama-embed": ollama,
}
EXCHANGES = [case for case in CASES if case["protocol"] in VENDORS]
CHATS = [case for case in EXCHANGES if case["expected"]["kind"] == "chat"]
VECTORS = [case for case in EXCHANGES if case["expected"]["kind"] == "embeddings"]
REFUSED = [case for case in EXCHANGES if case["response"]["status"] >= 400]
ASKED = [case for case in CHATS if case["request"]["body"] and case["protocol"] != "ollama-generate"]
REASONS = {
    "stop": {"stop", "other"},
    "length": {"length"},
    "tool_calls": {"tool"},
    "content_filter": {"filter"},
    "error": {"error"},
}
FAULTS = {
    400: {"upstream_rejected", "context_length_exceeded"},
    401: {"upstream_auth"},
    404: {"not_found"},
    429: {"upstream_busy"},
}

pytestmark = pytest.mark.skipif(not EXCHANGES, reason=f"no recorded exchanges in {FOLDER}")


@pytest.fixture
def recorded(monkeypatch):
    """A module that lies beside the recordings."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module


def name(case):
    return case["id"]


def body_of(case):
    response = case["response"]
    return b64decode(response["body_b64"]) if "body_b64" in response else response["body"].encode()


def provider_of(case, *chunks):
    module = VENDORS[case["protocol"]]
    return module.connect(module.Options(api_key="k"), ScriptedWire(chunks))


def read(case, body, size):
    reader = provider_of(case).reader(Call(model="m", understand=None, stream=case["stream"]))
    reply = Reply()
    for at in range(0, len(body), size):
        for event in reader.feed(body[at : at + size]):
            reply.add(event)
    for event in reader.close():
        reply.add(event)
    return reply


@pytest.mark.parametrize("form", ["whole", "pieces", "bytes", "crlf"])
@pytest.mark.parametrize("case", CHATS, ids=name)
def test_a_recorded_answer_says_what_was_recorded(case, form):
    body = body_of(case)
    if form == "crlf":
        body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    size = {"whole": len(body), "pieces": 7, "bytes": 1, "crlf": 5}[form]
    reply = read(case, body, size)
    expected = case["expected"]

    assert reply.begin.id == (expected["id"] or "")
    assert reply.begin.model == (expected["model"] or "")
    assert len(reply.choices) == len(expected["choices"])
    for said, wanted in zip(reply.choices, expected["choices"], strict=True):
        assert (said.text, said.thinking) == (wanted["text"], wanted["reasoning"] or wanted.get("plan", ""))
        calls = [(call.name, json.loads(call.arguments)) for call in said.calls]
        assert calls == [(call["name"], call["args"]) for call in wanted["tool_calls"]]
        assert said.done.reason in REASONS[wanted["finish"]]
    if usage := expected["usage"]:
        assert not usage["in_ok"] or reply.usage.tokens_in in usage["in_ok"]
        assert reply.usage.tokens_out in usage["out_ok"]
        ids = [call["id"] for call in wanted["tool_calls"]]
        assert [call.id for call in said.calls] == ids or not all(ids)


@pytest.mark.parametrize("case", REFUSED, ids=name)
def test_a_recorded_error_is_the_fault_it_means(case):
    response = case["response"]
    fault = provider_of(case).fault(Answered(response["status"], response["headers"], body_of(case)))
    assert fault.code in FAULTS[response["status"]]


@pytest.mark.anyio
@pytest.mark.parametrize("case", VECTORS, ids=name)
async def test_recorded_vectors_are_the_recorded_ones(case):
    expected = case["expected"]
    call = EmbedCall(model="m", inputs=("a",) * len(expected["vectors"]))
    embedded = await provider_of(case, body_of(case)).embed(call)
    assert [pytest.approx(vector) for vector in expected["vectors"]] == embedded.vectors
    if expected["usage"]:
        assert embedded.usage.tokens_in in expected["usage"]["in_ok"]


@pytest.mark.parametrize("case", ASKED, ids=name)
def test_a_recorded_request_reaches_the_vendor_as_its_own_client_sent_it(case, recorded):
    reqs = recorded("reqs")
    protocol, body, path = case["protocol"], case["request"]["body"], case["request"]["path"]
    wanted = reqs.parse_req(protocol, body, path)
    if wanted["fatal"]:
        pytest.skip(f"OpenAI's dialect has no words for {', '.join(wanted['fatal'])}")
    fields = reqs.emit_chat(wanted, body["model"])
    call = openai_chat.parse(fields, b"")
    sent = json.loads(provider_of(case).ask(call).body)
    assert reqs.diff_req(wanted, reqs.parse_req(protocol, sent, path)) == []


HF = [case for case in CASES if case["provider"] == "huggingface" and case["protocol"] == "openai-chat"]


@pytest.mark.parametrize("forwarded", [True, False], ids=["forwarded", "translated"])
@pytest.mark.parametrize("case", HF, ids=name)
def test_hugging_face_is_asked_as_recorded(case, forwarded, recorded):
    reqs = recorded("reqs")
    body = case["request"]["body"]
    call = openai_chat.parse(body, json.dumps(body).encode())
    call.dialect = call.dialect if forwarded else "another"
    sent = json.loads(huggingface.connect(huggingface.Options(), ScriptedWire()).ask(call).body)
    assert reqs.diff_req(*(reqs.parse_req("openai-chat", fields) for fields in (body, sent))) == []
