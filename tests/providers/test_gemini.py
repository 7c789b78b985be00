"""Gemini behind real sockets: what it is asked, and what its answers become."""

import json
from contextlib import aclosing

import pytest

from headgate.core.call import Call, Clocks, Message, Prompt, TextPart
from headgate.core.events import Reply
from headgate.core.faults import UpstreamAuth, UpstreamBroken, UpstreamBusy, UpstreamMissing, UpstreamRejected
from headgate.core.seams import Counter
from headgate.providers.gemini import Options, connect
from headgate.testing import LAST_CHUNK, ScriptedUpstream, ScriptedWire, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

KEY = "AIza-secret"
FRAME = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}], "responseId": "r"}
CLOCKS = Clocks(connect=5, first_event=5, idle=5, total=20)


def call(model="gemini-2.5-flash", *, stream=False):
    prompt = Prompt(messages=(Message("user", (TextPart("hello"),)),))
    return Call(model=model, understand=lambda _: prompt, stream=stream, clocks=CLOCKS)


async def reply_of(provider, asked):
    reply = Reply()
    async with aclosing(provider.events(asked)) as events:
        async for event in events:
            reply.add(event)
    return reply


async def test_a_whole_answer(asker):
    async with ScriptedUpstream([whole(json.dumps(FRAME).encode())]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream, "/v1beta"))
        reply = await reply_of(provider, call())
    assert (reply.text, reply.choices[0].done.reason) == ("hi", "stop")
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1beta/models/gemini-2.5-flash:generateContent")
    assert request.headers["x-goog-api-key"] == KEY
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


async def test_a_streamed_answer(asker):
    frame = b"data: " + json.dumps(FRAME).encode() + b"\r\n\r\n"
    async with ScriptedUpstream([stream_head(), chunk(frame[:9]), chunk(frame[9:]), LAST_CHUNK]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream, "/v1beta"))
        reply = await reply_of(provider, call(stream=True))
    assert reply.text == "hi"
    path = upstream.requests[0].path
    assert path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert KEY not in path


async def test_a_stream_that_breaks_off_is_broken(asker):
    frame = b'data: {"candidates": [{"content": {"parts": [{"text": "h"}]}}]}\n\n'
    async with ScriptedUpstream([stream_head(), chunk(frame), LAST_CHUNK]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream))
        with pytest.raises(UpstreamBroken):
            await reply_of(provider, call(stream=True))


@pytest.mark.parametrize(
    ("status", "error", "fault"),
    [
        (400, {"message": "Invalid value at 'contents'", "status": "INVALID_ARGUMENT"}, UpstreamRejected),
        (
            400,
            {"message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]},
            UpstreamAuth,
        ),
        (403, {"message": "Permission denied", "status": "PERMISSION_DENIED"}, UpstreamAuth),
        (404, {"message": "models/x is not found", "status": "NOT_FOUND"}, UpstreamMissing),
        (503, {"message": "The model is overloaded.", "status": "UNAVAILABLE"}, UpstreamBusy),
    ],
)
async def test_errors_are_faults_that_tell_no_key(asker, status, error, fault):
    async with ScriptedUpstream([whole(json.dumps({"error": {"code": status} | error}).encode(), status)]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream))
        with pytest.raises(fault) as raised:
            await reply_of(provider, call())
    assert KEY not in raised.value.message


async def test_a_rate_limit_says_when_to_come_back(asker):
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    error = {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED", "details": details}
    async with ScriptedUpstream([whole(json.dumps([{"error": error}]).encode(), 429)]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream))
        with pytest.raises(UpstreamBusy) as raised:
            await reply_of(provider, call(stream=True))
    assert raised.value.retry_after == 34.5


async def test_tokens_are_counted_by_the_upstream(asker):
    async with ScriptedUpstream([whole(b'{"totalTokens": 31}')], [whole(b'{"totalTokens": "many"}')]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream))
        assert isinstance(provider, Counter)
        assert await provider.count(call()) == 31
        with pytest.raises(UpstreamBroken):
            await provider.count(call())
    [asked, _] = upstream.requests
    assert asked.path.endswith(":countTokens")
    assert asked.headers["x-goog-api-key"] == KEY
    assert "contents" in json.loads(asked.body)["generateContentRequest"]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-2.5-pro", "/models/gemini-2.5-pro:generateContent"),
        ("tunedModels/mine", "/tunedModels/mine:generateContent"),
        ("../files", "/models/..%2Ffiles:generateContent"),
        ("models/../../v1/x?key=1#a", "/models/..%2F..%2Fv1%2Fx%3Fkey%3D1%23a:generateContent"),
        ("x:countTokens\r\nHost: evil", "/models/x%3AcountTokens%0D%0AHost%3A%20evil:generateContent"),
    ],
)
def test_a_models_name_stays_in_its_place(model, path):
    assert connect(Options(), ScriptedWire()).ask(call(model)).path == path


def test_without_a_key_none_is_sent():
    assert connect(Options(), ScriptedWire()).ask(call()).headers == ()


def test_the_well_known_settings():
    assert Options.found({"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": "a"}) == {"api_key": "a"}
    assert Options.found({"GOOGLE_API_KEY": "b"}) == {"api_key": "b"}
    assert Options.default_model == "gemini-2.5-flash"
    assert Options().base_url == "https://generativelanguage.googleapis.com/v1beta"
