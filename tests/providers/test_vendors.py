"""Mistral, Cohere, Ollama and Hugging Face behind real sockets: what they are asked, and what comes of it."""

import json
from contextlib import aclosing

import pytest

from headgate.core.call import Call, Clocks, Message, Prompt, TextPart
from headgate.core.embedding import EmbedCall
from headgate.core.events import Reply, Usage, Verbatim
from headgate.core.faults import (
    Unsupported,
    UpstreamAuth,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDown,
    UpstreamMissing,
    UpstreamRejected,
)
from headgate.core.seams import Embedder
from headgate.dialects import openai_chat
from headgate.providers import anthropic, cohere, gemini, huggingface, mistral, ollama, openai
from headgate.providers.kinds import kinds
from headgate.testing import LAST_CHUNK, ScriptedUpstream, ScriptedWire, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

KEY = "secret-of-ours"
CLOCKS = Clocks(connect=5, first_event=5, idle=5, total=20)
CHAT = {
    "id": "i",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
}
COHERE = {"id": "i", "message": {"content": [{"type": "text", "text": "hi"}]}, "finish_reason": "COMPLETE"}
OLLAMA = {"model": "m", "message": {"content": "hi"}, "done": True, "done_reason": "stop"}
VENDORS = [
    (mistral, "/chat/completions", CHAT),
    (cohere, "/v2/chat", COHERE),
    (ollama, "/api/chat", OLLAMA),
    (huggingface, "/v1/chat/completions", CHAT),
    (openai, "/chat/completions", CHAT),
]
SAID = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}
FRAME = b"data: " + json.dumps(SAID).encode() + b"\n\n"
START, DELTA, END = (
    {"type": "message-start", "id": "i"},
    {"type": "content-delta", "delta": {"message": {"content": {"text": "hi"}}}},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
)
STREAMS = [
    (mistral, "text/event-stream", FRAME),
    (huggingface, "text/event-stream", FRAME),
    (
        cohere,
        "text/event-stream",
        b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in (START, DELTA, END)),
    ),
    (ollama, "application/x-ndjson", json.dumps(OLLAMA).encode() + b"\n"),
]


def name(value):
    return value.__name__.rpartition(".")[2] if hasattr(value, "__name__") else ""


def call(*, stream=False):
    prompt = Prompt(messages=(Message("user", (TextPart("hello"),)),), max_tokens=9)
    return Call(model="m", understand=lambda _: prompt, stream=stream, clocks=CLOCKS)


def forwarded(**fields):
    body = {"model": "asked", "messages": [{"role": "user", "content": "hello"}], **fields}
    made = openai_chat.parse(body, json.dumps(body).encode())
    return made.aimed("m", None, CLOCKS)


def embedding(*inputs, **fields):
    return EmbedCall(model="m", inputs=inputs, clocks=CLOCKS, **fields)


async def reply_of(provider, asked):
    reply = Reply()
    async with aclosing(provider.events(asked)) as events:
        async for event in events:
            reply.add(event)
    return reply


@pytest.mark.parametrize(("vendor", "path", "answer"), VENDORS, ids=name)
async def test_a_whole_answer(vendor, path, answer, asker):
    async with ScriptedUpstream([whole(json.dumps(answer).encode())]) as upstream:
        provider = vendor.connect(vendor.Options(api_key=KEY), asker.wire(upstream, "/there"))
        reply = await reply_of(provider, call())
    assert (reply.text, reply.choices[0].done.reason) == ("hi", "stop")
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/there" + path)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    body = json.loads(request.body)
    assert body["messages"] == [{"role": "user", "content": "hello"}]
    assert 9 in {body.get("max_tokens"), body.get("max_completion_tokens"), body.get("options", {}).get("num_predict")}


@pytest.mark.parametrize(("vendor", "kind", "body"), STREAMS, ids=name)
async def test_a_streamed_answer(vendor, kind, body, asker):
    head = stream_head({"content-type": kind})
    async with ScriptedUpstream([head, chunk(body[:9]), chunk(body[9:]), LAST_CHUNK]) as upstream:
        provider = vendor.connect(vendor.Options(), asker.wire(upstream))
        reply = await reply_of(provider, call(stream=True))
    assert (reply.text, reply.choices[0].done.reason) == ("hi", "stop")
    assert json.loads(upstream.requests[0].body)["stream"] is True
    assert "authorization" not in upstream.requests[0].headers


@pytest.mark.parametrize(("vendor", "kind", "body"), STREAMS, ids=name)
async def test_a_stream_that_breaks_off_is_broken(vendor, kind, body, asker):
    half = body[: len(body) // 2]
    async with ScriptedUpstream([stream_head({"content-type": kind}), chunk(half), LAST_CHUNK]) as upstream:
        provider = vendor.connect(vendor.Options(), asker.wire(upstream))
        with pytest.raises(UpstreamBroken):
            await reply_of(provider, call(stream=True))


@pytest.mark.parametrize(
    ("vendor", "status", "body", "fault"),
    [
        (mistral, 401, {"detail": "Invalid API Key"}, UpstreamAuth),
        (mistral, 429, {"object": "error", "message": "Rate limit exceeded", "code": "1300"}, UpstreamBusy),
        (mistral, 422, {"detail": [{"loc": ["body", "n"], "msg": "must be positive"}]}, UpstreamRejected),
        (cohere, 401, {"message": "invalid api token"}, UpstreamAuth),
        (cohere, 404, {"message": "model 'x' not found"}, UpstreamMissing),
        (ollama, 404, {"error": "model 'x' not found"}, UpstreamMissing),
        (ollama, 400, {"error": "llama3.2 does not support thinking"}, UpstreamRejected),
        (huggingface, 424, {"error": "Request failed during generation", "error_type": "generation"}, UpstreamDown),
        (huggingface, 503, {"error": "Model is loading", "estimated_time": 20.5}, UpstreamBusy),
    ],
)
async def test_errors_are_faults(vendor, status, body, fault, asker):
    async with ScriptedUpstream([whole(json.dumps(body).encode(), status)]) as upstream:
        provider = vendor.connect(vendor.Options(api_key=KEY), asker.wire(upstream))
        with pytest.raises(fault) as raised:
            await reply_of(provider, call())
    assert KEY not in raised.value.message


@pytest.mark.parametrize(
    ("vendor", "environ", "settings"),
    [
        (mistral, {"MISTRAL_API_KEY": "a"}, {"api_key": "a"}),
        (cohere, {"CO_API_KEY": "a", "COHERE_API_KEY": "b"}, {"api_key": "a"}),
        (cohere, {"COHERE_API_KEY": "b"}, {"api_key": "b"}),
        (ollama, {"OLLAMA_HOST": "box:1"}, {"base_url": "box:1"}),
        (huggingface, {"HF_TOKEN": "a"}, {"api_key": "a"}),
    ],
)
def test_the_well_known_settings(vendor, environ, settings):
    assert vendor.Options.found(environ) == settings
    assert vendor.Options.default_model


@pytest.mark.parametrize("kind", ["mistral", "cohere", "ollama", "huggingface"])
def test_each_is_a_kind_of_provider(kind):
    assert kinds()[kind].connect(kinds()[kind].options(), ScriptedWire())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("box", "http://box:11434"),
        ("box:1234", "http://box:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:1234", "http://[::1]:1234"),
        ("[::1]", "http://[::1]:11434"),
        ("http://box", "http://box"),
        ("https://ollama.com/", "https://ollama.com"),
        ("https://ollama.com/api", "https://ollama.com"),
        ("http://box:8080/ollama/", "http://box:8080/ollama"),
        (" http://0.0.0.0:11434 ", "http://127.0.0.1:11434"),
    ],
)
def test_ollamas_host_may_be_written_in_many_ways(host, url):
    assert ollama.Options(base_url=host).base_url == url


@pytest.mark.parametrize(
    ("options", "url"),
    [
        (cohere.Options(base_url="https://c.example/v2/"), "https://c.example"),
        (huggingface.Options(base_url="https://router.huggingface.co/v1"), "https://router.huggingface.co"),
        (huggingface.Options(base_url="http://tgi:8080/"), "http://tgi:8080"),
    ],
)
def test_a_base_url_may_have_its_version_or_not(options, url):
    assert options.base_url == url


def test_ollama_loads_models_as_its_operator_says():
    provider = ollama.connect(ollama.Options(num_ctx=8192, keep_alive="5m"), ScriptedWire())
    body = json.loads(provider.ask(call()).body)
    assert body["options"] == {"num_ctx": 8192, "num_predict": 9}
    assert body["keep_alive"] == "5m"


async def test_hugging_face_passes_its_own_dialect_on(asker):
    async with ScriptedUpstream([whole(json.dumps(CHAT | {"new": 1}).encode())]) as upstream:
        provider = huggingface.connect(huggingface.Options(), asker.wire(upstream))
        reply = await reply_of(provider, forwarded(new=[1], max_completion_tokens=5))
    assert json.loads(reply.verbatim) == CHAT | {"new": 1}
    body = json.loads(upstream.requests[0].body)
    assert (body["model"], body["new"], body["max_tokens"]) == ("m", [1], 5)
    assert "max_completion_tokens" not in body


async def test_hugging_face_streams_its_own_dialect_as_it_came(asker):
    async with ScriptedUpstream([stream_head(), chunk(FRAME), LAST_CHUNK]) as upstream:
        provider = huggingface.connect(huggingface.Options(), asker.wire(upstream))
        async with aclosing(provider.events(forwarded(stream=True))) as events:
            seen = [event async for event in events]
    assert [event.data for event in seen if isinstance(event, Verbatim)] == [FRAME]


EMBEDDING = {"data": [{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [1]}], "usage": {"prompt_tokens": 3}}
VECTORS = [
    (openai, "/embeddings", EMBEDDING, 3),
    (mistral, "/embeddings", EMBEDDING, 3),
    (cohere, "/v2/embed", {"embeddings": {"float": [[0.5], [1]]}, "meta": {"billed_units": {"input_tokens": 3}}}, 3),
    (ollama, "/api/embed", {"embeddings": [[0.5], [1]], "prompt_eval_count": 3}, 3),
    (gemini, "/models/m:batchEmbedContents", {"embeddings": [{"values": [0.5]}, {"values": [1]}]}, None),
    (huggingface, "/hf-inference/models/m/pipeline/feature-extraction", [[0.5], [1]], None),
]


@pytest.mark.parametrize(("vendor", "path", "answer", "tokens"), VECTORS, ids=name)
async def test_texts_become_vectors(vendor, path, answer, tokens, asker):
    async with ScriptedUpstream([whole(json.dumps(answer).encode())]) as upstream:
        provider = vendor.connect(vendor.Options(api_key=KEY), asker.wire(upstream))
        embedded = await provider.embed(embedding("a", "b"))
    assert embedded.vectors == [[0.5], [1.0]]
    assert (embedded.usage.tokens_in if embedded.usage else None) == tokens
    (request,) = upstream.requests
    assert request.path == path
    assert KEY in request.headers.get("authorization", request.headers.get("x-goog-api-key"))


async def test_a_server_of_text_embeddings_speaks_openais_dialect(asker):
    async with ScriptedUpstream([whole(json.dumps(EMBEDDING).encode())]) as upstream:
        provider = huggingface.connect(huggingface.Options(base_url="http://tei:80"), asker.wire(upstream))
        embedded = await provider.embed(embedding((1, 2), "b", dimensions=1))
    assert embedded.vectors == [[0.5], [1.0]]
    (request,) = upstream.requests
    assert request.path == "/v1/embeddings"
    assert json.loads(request.body)["input"] == [[1, 2], "b"]


@pytest.mark.parametrize("model", ["a/b:together", "../secrets", "a/b/c", "a b", ".."])
async def test_the_router_embeds_with_models_of_its_own_only(model):
    provider = huggingface.connect(huggingface.Options(), ScriptedWire())
    with pytest.raises(Unsupported):
        await provider.embed(EmbedCall(model=model, inputs=("a",)))


@pytest.mark.parametrize("fields", [{"dimensions": 8}, {"inputs": ((1, 2),)}])
async def test_the_router_takes_text_alone_and_shortens_nothing(fields):
    provider = huggingface.connect(huggingface.Options(), ScriptedWire())
    with pytest.raises(Unsupported):
        await provider.embed(EmbedCall(**({"model": "m", "inputs": ("a",)} | fields)))


@pytest.mark.parametrize("body", [b"[[[1]]]", b"[1]", b"[]", b'"a"', b"no"])
async def test_feature_extraction_of_another_shape_is_broken(body):
    provider = huggingface.connect(huggingface.Options(), ScriptedWire([body]))
    with pytest.raises(UpstreamBroken):
        await provider.embed(embedding("a"))


async def test_feature_extraction_may_report_an_error():
    provider = huggingface.connect(huggingface.Options(), ScriptedWire([b'{"error": "out of memory"}']))
    with pytest.raises(UpstreamDown):
        await provider.embed(embedding("a"))


async def test_many_texts_are_asked_for_in_batches():
    vectors = [[float(at)] for at in range(100)]
    bodies = [
        {"embeddings": {"float": part}, "meta": {"billed_units": {"input_tokens": len(part)}}}
        for part in (vectors[:96], vectors[96:])
    ]
    wire = ScriptedWire(*([json.dumps(body).encode()] for body in bodies))
    embedded = await cohere.connect(cohere.Options(), wire).embed(embedding(*map(str, range(100))))
    assert (embedded.vectors, embedded.usage) == (vectors, Usage(100, 0))
    assert [len(json.loads(ask.body)["texts"]) for ask in wire.asks] == [96, 4]


async def test_gemini_is_told_the_purpose():
    wire = ScriptedWire([b'{"embeddings": [{"values": [1]}], "usageMetadata": {"promptTokenCount": 2}}'])
    embedded = await gemini.connect(gemini.Options(), wire).embed(embedding("a", purpose="query", dimensions=8))
    (asked,) = json.loads(wire.asks[0].body)["requests"]
    assert (asked["taskType"], asked["outputDimensionality"]) == ("RETRIEVAL_QUERY", 8)
    assert embedded.usage.tokens_in == 2


async def test_an_error_in_place_of_vectors_is_a_fault(asker):
    async with ScriptedUpstream([whole(b'{"message": "invalid api token"}', 401)]) as upstream:
        provider = cohere.connect(cohere.Options(api_key=KEY), asker.wire(upstream))
        with pytest.raises(UpstreamAuth):
            await provider.embed(embedding("a"))


@pytest.mark.parametrize(
    ("vendor", "able"),
    [(openai, True), (mistral, True), (cohere, True), (ollama, True), (gemini, True), (anthropic, False)],
    ids=name,
)
def test_an_embedder_is_known_by_what_it_can_do(vendor, able):
    assert isinstance(vendor.connect(vendor.Options(), ScriptedWire()), Embedder) is able


async def test_openais_account_is_named(asker):
    async with ScriptedUpstream([whole(json.dumps(CHAT).encode())]) as upstream:
        options = openai.Options(api_key=KEY, organization="org-a", project="proj-b")
        await reply_of(openai.connect(options, asker.wire(upstream)), call())
    headers = upstream.requests[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-a", "proj-b")
