"""Anthropic behind real sockets: what it is asked, and what its answers become."""

import json
from contextlib import aclosing

import pytest

from headgate.core.call import Call, Clocks, Message, Prompt, System, TextPart
from headgate.core.entry import Entry
from headgate.core.events import Receipt, Reply, Verbatim
from headgate.core.faults import (
    ContextTooLong,
    Forbidden,
    UpstreamAuth,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamMissing,
    UpstreamRejected,
)
from headgate.dialects.anthropic_messages import parse, parse_count
from headgate.dialects.anthropic_messages_writer import Writer
from headgate.providers.anthropic import Options, connect, with_system
from headgate.testing import LAST_CHUNK, ScriptedUpstream, ScriptedWire, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

KEY = "sk-ant-secret"
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
FRAMES = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi", "new": "field"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]
CLOCKS = Clocks(connect=5, first_event=5, idle=5, total=20)
ASKED = {"model": "assistant", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}], "novel": [1]}


def sse(*frames):
    return b"".join(f"event: {frame['type']}\ndata: {json.dumps(frame)}\n\n".encode() for frame in frames)


def foreign(*, stream=False):
    """A call that came in another dialect."""
    prompt = Prompt(messages=(Message("user", (TextPart("hello"),)),))
    return Call(model="claude-sonnet-5-5", understand=lambda _: prompt, stream=stream, clocks=CLOCKS)


def native(*, body=None, ours=None, **fields):
    """A call in Anthropic's own words, aimed at a model."""
    said = {**ASKED, **fields}
    call = parse(said, json.dumps(said).encode() if body is None else body)
    call.headers = {"anthropic-version": "2026-01-01", "anthropic-beta": "files-1"}
    return call.aimed("claude-sonnet-5-5", ours, CLOCKS)


async def events_of(provider, call):
    async with aclosing(provider.events(call)) as events:
        return [event async for event in events]


def fold(events):
    reply = Reply()
    for event in events:
        reply.add(event)
    return reply


def asked_by(call, **options):
    ask = connect(Options(**options), ScriptedWire()).ask(call)
    return json.loads(ask.body), dict(ask.headers), ask


async def test_a_foreign_call_is_translated(asker):
    async with ScriptedUpstream([whole(json.dumps(MESSAGE).encode())]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream, "/v1"))
        reply = fold(await events_of(provider, foreign()))
    assert (reply.text, reply.choices[0].done.reason, reply.usage.tokens_in) == ("hi", "stop", 3)
    assert reply.verbatim == b""
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert json.loads(request.body) == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "hello"}],
    }


async def test_a_foreign_stream_is_translated(asker):
    body = sse(*FRAMES)
    async with ScriptedUpstream([stream_head(), chunk(body[:99]), chunk(body[99:]), LAST_CHUNK]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream))
        reply = fold(await events_of(provider, foreign(stream=True)))
    assert reply.text == "hi"
    assert json.loads(upstream.requests[0].body)["stream"] is True


async def test_a_stream_of_the_dialect_is_passed_on(asker):
    body = sse(*FRAMES)
    async with ScriptedUpstream([stream_head(), chunk(body[:99]), chunk(body[99:]), LAST_CHUNK]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream))
        call = native(stream=True)
        events = await events_of(provider, call)
    writer = Writer(call)
    entry = Entry(id="e", at=0.0, request_id="r")
    sent = b"".join(writer.feed(event) for event in [*events, Receipt(entry)])
    assert sent.startswith(sse(*FRAMES[:4]))
    assert sent.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    (request,) = upstream.requests
    assert json.loads(request.body) == {**ASKED, "model": "claude-sonnet-5-5", "stream": True}
    assert request.headers["anthropic-version"] == "2026-01-01"
    assert request.headers["anthropic-beta"] == "files-1"
    assert request.headers["x-api-key"] == KEY


async def test_a_whole_answer_of_the_dialect_is_passed_on(asker):
    body = json.dumps(MESSAGE, indent=1).encode()
    async with ScriptedUpstream([whole(body)]) as upstream:
        events = await events_of(connect(Options(), asker.wire(upstream)), native())
    assert events[0] == Verbatim(body)
    assert "x-api-key" not in upstream.requests[0].headers


async def test_a_stream_that_breaks_off_is_broken(asker):
    async with ScriptedUpstream([stream_head(), chunk(sse(*FRAMES[:3])), LAST_CHUNK]) as upstream:
        provider = connect(Options(), asker.wire(upstream))
        with pytest.raises(UpstreamBroken):
            await events_of(provider, foreign(stream=True))


@pytest.mark.parametrize(
    ("status", "kind", "message", "fault"),
    [
        (400, "invalid_request_error", "messages: too many", UpstreamRejected),
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 5 maximum", ContextTooLong),
        (401, "authentication_error", "invalid x-api-key", UpstreamAuth),
        (404, "not_found_error", "model: claude-sonet", UpstreamMissing),
        (429, "rate_limit_error", "slow down", UpstreamBusy),
        (529, "overloaded_error", "Overloaded", UpstreamBusy),
    ],
)
async def test_an_error_is_the_fault_that_it_means(asker, status, kind, message, fault):
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    async with ScriptedUpstream([whole(body, status=status)]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream))
        with pytest.raises(fault) as caught:
            await events_of(provider, foreign())
    assert KEY not in caught.value.message


async def test_tokens_are_counted_by_the_upstream(asker):
    async with ScriptedUpstream([whole(b'{"input_tokens": 12}')]) as upstream:
        provider = connect(Options(api_key=KEY), asker.wire(upstream, "/v1"))
        assert await provider.count(foreign()) == 12
        fields = {name: value for name, value in ASKED.items() if name != "max_tokens"}
        call = parse_count(fields, json.dumps(fields).encode()).aimed("claude-sonnet-5-5", None, CLOCKS)
        assert await provider.count(call) == 12
    assert [request.path for request in upstream.requests] == ["/v1/messages/count_tokens"] * 2
    assert json.loads(upstream.requests[1].body) == {**fields, "model": "claude-sonnet-5-5"}


async def test_a_count_says_nothing_but_the_prompt(asker):
    async with ScriptedUpstream([whole(b'{"input_tokens": 12}')]) as upstream:
        provider = connect(Options(), asker.wire(upstream, "/v1"))
        fields = {name: value for name, value in ASKED.items() if name != "max_tokens"}
        call = parse_count(fields, json.dumps(fields).encode()).aimed("claude", System("Be kind."), CLOCKS)
        assert await provider.count(call) == 12
    assert json.loads(upstream.requests[0].body) == {**fields, "model": "claude", "system": "Be kind."}


async def test_a_refused_count_is_a_fault(asker):
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    async with ScriptedUpstream([whole(body, status=529)]) as upstream:
        with pytest.raises(UpstreamBusy):
            await connect(Options(), asker.wire(upstream)).count(foreign())


def test_only_the_models_name_changes_in_the_callers_bytes():
    body = b' {"model" : "assistant","max_tokens":50, "messages":[{"role":"user","content":"hello"}]}'
    call = native(body=body)
    sent = connect(Options(), ScriptedWire()).ask(call).body
    assert sent == body.replace(b'"model" : "assistant"', b'"model":"claude-sonnet-5-5"')


@pytest.mark.parametrize(
    "body",
    [
        b'{"mod\\u0065l":"assistant","max_tokens":50,"messages":[{"role":"user","content":"hello","model":"x"}]}',
        b'{"messages":[{"role":"user","content":"hello","model":"x"}],"model":"assistant","max_tokens":50}',
        b"",
    ],
)
def test_a_model_hidden_in_the_bytes_is_changed_all_the_same(body):
    call = native(body=body)
    sent, _, _ = asked_by(call)
    assert sent["model"] == "claude-sonnet-5-5"


@pytest.mark.parametrize(
    ("own", "policy", "sent"),
    [
        (None, "append", "Be kind."),
        ("", "append", "Be kind."),
        ("Be brief.", "append", [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief."}]),
        (
            [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "append",
            [
                {"type": "text", "text": "Be kind."},
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
            ],
        ),
        ("Be brief.", "replace", "Be brief."),
        (None, "replace", "Be kind."),
        (None, "forbid", "Be kind."),
    ],
)
def test_the_operators_system_prompt_goes_in_front(own, policy, sent):
    call = native(ours=System("Be kind.", policy), **({} if own is None else {"system": own}))
    body, _, _ = asked_by(call)
    assert body["system"] == sent


@pytest.mark.parametrize(
    "fields",
    [
        {"system": "Be brief.", "messages": []},
        {"messages": [{"role": "system", "content": "Be brief."}]},
    ],
)
def test_a_callers_system_prompt_may_be_forbidden(fields):
    with pytest.raises(Forbidden):
        with_system(fields, System("Be kind.", "forbid"))


def test_the_bound_on_an_answer_can_be_set():
    body, _, _ = asked_by(foreign(), max_tokens=1234)
    assert body["max_tokens"] == 1234


def test_a_stream_is_asked_for_when_the_edge_wants_one():
    call = native()
    call.stream = True
    body, _, ask = asked_by(call)
    assert body["stream"] is True
    assert ask.stream is True
