"""Vertex AI behind real sockets: two publishers, one project, tokens of a service account."""

import json
from contextlib import aclosing

import pytest
from pydantic import ValidationError

from headgate.core.call import Call, Clocks, Message, Prompt, System, TextPart
from headgate.core.embedding import EmbedCall
from headgate.core.events import Reply
from headgate.core.faults import Unsupported, UpstreamAuth, UpstreamBroken, UpstreamBusy, UpstreamMissing
from headgate.dialects.anthropic_messages import parse
from headgate.providers.vertex import Options, connect
from headgate.testing import LAST_CHUNK, ScriptedUpstream, ScriptedWire, chunk, stream_head, whole

from ._google import PEM, account, token

pytestmark = pytest.mark.anyio

CLOCKS = Clocks(connect=5, first_event=5, idle=5, total=20)
PLACE = "/v1/projects/mine/locations/europe-west4/publishers"
CLAUDE = "claude-sonnet-4-5@20250929"
CONTENT = {
    "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1},
    "modelVersion": "gemini-2.5-flash",
}
MESSAGE = {
    "id": "msg_vrtx_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]
GEMINI_STREAM = b"data: %b\n\n" % json.dumps(CONTENT).encode()
CLAUDE_STREAM = b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in EVENTS)


def options(**fields):
    return Options(**({"project": "mine", "location": "europe-west4", "token": "ya29.given"} | fields))


def call(model="gemini-2.5-flash", *, stream=False):
    prompt = Prompt(messages=(Message("user", (TextPart("hello"),)),), max_tokens=9)
    return Call(model=model, understand=lambda _: prompt, stream=stream, clocks=CLOCKS)


def native(*, ours=None, **fields):
    said = {"model": "asked", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}], **fields}
    made = parse(said, json.dumps(said).encode())
    made.headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m"}
    return made.aimed(CLAUDE, ours, CLOCKS)


async def reply_of(provider, asked):
    reply = Reply()
    async with aclosing(provider.events(asked)) as events:
        async for event in events:
            reply.add(event)
    return reply


@pytest.mark.parametrize(
    ("asked", "path", "answer"),
    [
        (call(), "/google/models/gemini-2.5-flash:generateContent", CONTENT),
        (call("google/gemini-2.5-pro"), "/google/models/gemini-2.5-pro:generateContent", CONTENT),
        (call(CLAUDE), f"/anthropic/models/{CLAUDE}:rawPredict", MESSAGE),
        (call("anthropic/claude-opus-4-5"), "/anthropic/models/claude-opus-4-5:rawPredict", MESSAGE),
    ],
)
async def test_a_whole_answer(asked, path, answer, asker):
    async with ScriptedUpstream([whole(json.dumps(answer).encode())]) as upstream:
        reply = await reply_of(connect(options(), asker.wire(upstream)), asked)
    (request,) = upstream.requests
    assert request.path == PLACE + path
    assert request.headers["authorization"] == "Bearer ya29.given"
    assert (reply.text, reply.choices[0].done.reason, reply.usage.tokens_in) == ("hi", "stop", 3)


@pytest.mark.parametrize(
    ("asked", "path", "body"),
    [
        (call(stream=True), "/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse", GEMINI_STREAM),
        (call(CLAUDE, stream=True), f"/anthropic/models/{CLAUDE}:streamRawPredict", CLAUDE_STREAM),
    ],
)
async def test_a_streamed_answer(asked, path, body, asker):
    async with ScriptedUpstream([stream_head(), chunk(body[:40]), chunk(body[40:]), LAST_CHUNK]) as upstream:
        reply = await reply_of(connect(options(), asker.wire(upstream)), asked)
    assert upstream.requests[0].path == PLACE + path
    assert (reply.text, reply.choices[0].done.reason) == ("hi", "stop")


@pytest.mark.parametrize(("model", "body"), [("gemini-2.5-flash", b""), (CLAUDE, CLAUDE_STREAM[:400])])
async def test_a_stream_that_breaks_off_is_broken(model, body, asker):
    async with ScriptedUpstream([stream_head(), chunk(body or GEMINI_STREAM[:50]), LAST_CHUNK]) as upstream:
        with pytest.raises(UpstreamBroken):
            await reply_of(connect(options(), asker.wire(upstream)), call(model, stream=True))


def test_claude_is_asked_without_its_name_but_with_a_version():
    body = json.loads(connect(options(max_tokens=77), ScriptedWire()).ask(call(CLAUDE)).body)
    assert body == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hello"}],
    }


async def test_a_caller_of_claudes_dialect_is_passed_on(asker):
    async with ScriptedUpstream([stream_head(), chunk(CLAUDE_STREAM), LAST_CHUNK]) as upstream:
        reply = await reply_of(connect(options(), asker.wire(upstream)), native(stream=True, novel=[1]))
    (request,) = upstream.requests
    assert json.loads(request.body) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hello"}],
        "novel": [1],
        "stream": True,
    }
    assert request.headers["anthropic-beta"] == "context-1m"
    assert "anthropic-version" not in request.headers
    assert CLAUDE_STREAM.startswith(reply.verbatim)
    assert reply.usage.tokens_out == 1


async def test_tokens_are_counted_by_either_publisher(asker):
    async with ScriptedUpstream([whole(b'{"totalTokens": 12}')], [whole(b'{"input_tokens": 13}')]) as upstream:
        provider = connect(options(), asker.wire(upstream))
        assert [await provider.count(asked) for asked in (call(), call(CLAUDE), native())] == [12, 13, 13]
    paths = [request.path.removeprefix(PLACE) for request in upstream.requests]
    assert paths == [
        "/google/models/gemini-2.5-flash:countTokens",
        "/anthropic/models/count-tokens:rawPredict",
        "/anthropic/models/count-tokens:rawPredict",
    ]
    said = json.loads(upstream.requests[2].body)
    assert (said["model"], said["anthropic_version"], "stream" in said) == (CLAUDE, "vertex-2023-10-16", False)
    assert json.loads(upstream.requests[1].body)["model"] == CLAUDE


def test_a_bound_of_ours_is_told():
    asked = native()
    asked.bound(5)
    assert json.loads(connect(options(), ScriptedWire()).ask(asked).body)["max_tokens"] == 5


def test_the_operators_prompt_stands_before_the_callers():
    asked = native(ours=System("Be brief."), system="Be kind.")
    body = json.loads(connect(options(), ScriptedWire()).ask(asked).body)
    assert [block["text"] for block in body["system"]] == ["Be brief.", "Be kind."]


async def test_a_service_account_asks_for_its_token_once(asker):
    async with (
        ScriptedUpstream([token("ya29.one")]) as google,
        ScriptedUpstream([whole(json.dumps(CONTENT).encode())]) as upstream,
    ):
        key = account(google.url + "/token")
        provider = connect(options(token="", credentials=key), asker.wire(upstream))
        for _ in range(3):
            assert (await reply_of(provider, call())).text == "hi"
    assert [request.headers["authorization"] for request in upstream.requests] == ["Bearer ya29.one"] * 3
    assert len(google.requests) == 1


async def test_a_token_that_vertex_refuses_is_replaced(asker):
    refused = whole(b'{"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "expired"}}', 401)
    async with (
        ScriptedUpstream([token("ya29.one")], [token("ya29.two")]) as google,
        ScriptedUpstream([refused], [whole(json.dumps(CONTENT).encode())]) as upstream,
    ):
        key = account(google.url + "/token")
        provider = connect(options(token="", credentials=key), asker.wire(upstream))
        with pytest.raises(UpstreamAuth):
            await reply_of(provider, call())
        await reply_of(provider, call())
    assert upstream.requests[1].headers["authorization"] == "Bearer ya29.two"


async def test_no_token_no_call(asker):
    async with ScriptedUpstream([whole(b'{"error": "invalid_grant"}', 400)]) as google, ScriptedUpstream() as upstream:
        key = account(google.url + "/token")
        provider = connect(options(token="", credentials=key), asker.wire(upstream))
        for asked in (call(), call(CLAUDE, stream=True)):
            with pytest.raises(UpstreamAuth):
                await reply_of(provider, asked)
    assert not upstream.requests


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (
            404,
            [{"error": {"code": 404, "message": "Publisher Model was not found", "status": "NOT_FOUND"}}],
            UpstreamMissing,
        ),
        (429, {"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}, UpstreamBusy),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, UpstreamBusy),
        (403, {"error": {"code": 403, "message": "denied", "status": "PERMISSION_DENIED"}}, UpstreamAuth),
    ],
)
async def test_errors_are_faults(asker, status, body, fault):
    async with ScriptedUpstream([whole(json.dumps(body).encode(), status)]) as upstream:
        with pytest.raises(fault):
            await reply_of(connect(options(), asker.wire(upstream)), call(stream=True))


async def test_texts_become_vectors_one_request_each_where_the_model_takes_one(asker):
    def predicted(*vectors):
        embeddings = [{"embeddings": {"values": v, "statistics": {"token_count": 2}}} for v in vectors]
        return whole(json.dumps({"predictions": embeddings}).encode())

    content = whole(b'{"embedding": {"values": [2]}, "usageMetadata": {"promptTokenCount": 5}}')
    async with ScriptedUpstream([predicted([0.5], [1])], [predicted([3])], [predicted([4])], [content]) as upstream:
        provider = connect(options(), asker.wire(upstream))
        made = [
            await provider.embed(EmbedCall(model=model, inputs=inputs, clocks=CLOCKS))
            for model, inputs in [
                ("text-embedding-005", ("a", "b")),
                ("gemini-embedding-001", ("a", "b")),
                ("google/gemini-embedding-2", ("a",)),
            ]
        ]
    assert [each.vectors for each in made] == [[[0.5], [1.0]], [[3.0], [4.0]], [[2.0]]]
    assert [each.usage.tokens_in for each in made] == [4, 4, 5]
    assert [request.path.rpartition("/")[2] for request in upstream.requests] == [
        "text-embedding-005:predict",
        "gemini-embedding-001:predict",
        "gemini-embedding-001:predict",
        "gemini-embedding-2:embedContent",
    ]


@pytest.mark.parametrize("model", ["meta/llama-4", "publishers/google/models/x"])
def test_other_publishers_are_refused(model):
    with pytest.raises(Unsupported, match="Google and Anthropic"):
        connect(options(), ScriptedWire()).ask(call(model))


async def test_claude_makes_no_vectors():
    with pytest.raises(Unsupported, match="embeddings"):
        await connect(options(), ScriptedWire()).embed(EmbedCall(model=CLAUDE, inputs=("a",)))


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("google/..:predict?x#y", "/google/models/..%3Apredict%3Fx%23y:generateContent"),
        ("claude-x;y\r\nHost: evil", "/anthropic/models/claude-x%3By%0D%0AHost%3A%20evil:rawPredict"),
    ],
)
def test_a_models_name_stays_in_its_place(model, path):
    assert connect(options(), ScriptedWire()).ask(call(model)).path == PLACE + path


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("global", "https://aiplatform.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ("us-east5", "https://us-east5-aiplatform.googleapis.com"),
    ],
)
def test_the_location_tells_the_address(location, url):
    assert options(location=location).base_url == url
    assert options(location=location, base_url="http://127.0.0.1:1").base_url == "http://127.0.0.1:1"


def test_credentials_are_a_file_or_its_text(tmp_path):
    text = account("https://oauth2.example/token")
    path = tmp_path / "key.json"
    path.write_text(text)
    assert options(credentials=str(path)).credentials == options(credentials=text).credentials == text
    assert PEM[60:90] not in repr(options(credentials=text))


@pytest.mark.parametrize(
    "fields",
    [
        {"credentials": "/nowhere/key.json"},
        {"credentials": '{"type": "service_account"}'},
        {"location": "x.evil.example/"},
        {"location": 5},
        {"project": ""},
    ],
)
def test_settings_that_cannot_work_are_refused(fields):
    with pytest.raises(ValidationError):
        options(**fields)


def test_a_key_of_the_project_is_a_header():
    headers = connect(options(token="", api_key="k"), ScriptedWire()).ask(call()).headers
    assert headers == (("x-goog-api-key", "k"),)


def test_nothing_is_found_in_the_environment():
    assert Options.found({"GOOGLE_APPLICATION_CREDENTIALS": "/x.json", "GOOGLE_CLOUD_PROJECT": "p"}) == {}
