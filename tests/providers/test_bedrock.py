"""Amazon Bedrock behind real sockets: signed requests, binary streams, exceptions by name."""

import json
import re
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from dialects._eventstream import event, failure
from headgate.core.call import Call, Clocks, Message, Prompt, TextPart
from headgate.core.embedding import EmbedCall
from headgate.core.events import Reply
from headgate.core.faults import (
    UpstreamAuth,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDown,
    UpstreamMissing,
    UpstreamRejected,
)
from headgate.dialects.sigv4 import Keys, Scope, sign
from headgate.providers.bedrock import Options, connect
from headgate.testing import LAST_CHUNK, ScriptedUpstream, ScriptedWire, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

CLOCKS = Clocks(connect=5, first_event=5, idle=5, total=20)
CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
STREAMED = stream_head({"content-type": "application/vnd.amazon.eventstream"})
PAIR = {"access_key_id": "AKID-of-ours", "secret_access_key": "secret-of-ours", "session_token": "token-of-ours"}
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
    "metrics": {"latencyMs": 1},
}
STREAM = b"".join(
    [
        event("messageStart", role="assistant"),
        event("contentBlockDelta", contentBlockIndex=0, delta={"text": "hi"}),
        event("contentBlockStop", contentBlockIndex=0),
        event("messageStop", stopReason="end_turn"),
        event("metadata", usage=ANSWER["usage"], metrics={"latencyMs": 1}),
    ]
)


def call(model=CLAUDE, *, stream=False):
    prompt = Prompt(messages=(Message("user", (TextPart("hello"),)),), max_tokens=9)
    return Call(model=model, understand=lambda _: prompt, stream=stream, clocks=CLOCKS)


async def reply_of(provider, asked):
    reply = Reply()
    async with aclosing(provider.events(asked)) as events:
        async for said in events:
            reply.add(said)
    return reply


def at(upstream, **fields):
    """A provider at this address, as its settings would make it."""
    return Options(**({"region": "eu-west-1", "base_url": upstream.url} | PAIR | fields))


async def test_a_whole_answer_to_a_signed_request(asker):
    async with ScriptedUpstream([whole(json.dumps(ANSWER).encode())]) as upstream:
        reply = await reply_of(connect(at(upstream), asker.wire(upstream)), call())
    (request,) = upstream.requests
    assert request.path == "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert json.loads(request.body)["inferenceConfig"] == {"maxTokens": 9}
    assert (reply.text, reply.choices[0].done.reason, reply.usage.tokens_in) == ("hi", "stop", 3)


async def test_the_signature_fits_what_arrives(asker):
    """Signed again from what the server saw, with the same secret, the signature is the same."""
    async with ScriptedUpstream([whole(json.dumps(ANSWER).encode())]) as upstream:
        provider = connect(at(upstream, base_url=upstream.url + "/proxy"), asker.wire(upstream, "/proxy"))
        await reply_of(provider, call())
    (request,) = upstream.requests
    given = request.headers["authorization"]
    names = re.search("SignedHeaders=([^,]*)", given)[1].split(";")
    assert {"content-type", "host", "x-amz-date", "x-amz-security-token"} == set(names)
    assert request.headers["x-amz-security-token"] == "token-of-ours"
    now = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    headers = {name: request.headers[name] for name in names}
    scope = Scope("eu-west-1", "bedrock")
    again = sign(Keys(*PAIR.values()), scope, request.method, request.path, headers, request.body, now)
    assert again["authorization"] == given
    assert abs(now - datetime.now(UTC).timestamp()) < 60
    assert "secret-of-ours" not in str(request)


async def test_a_key_of_bedrocks_own_is_sent_as_it_is(asker):
    async with ScriptedUpstream([whole(json.dumps(ANSWER).encode())]) as upstream:
        await reply_of(connect(at(upstream, api_key="key-of-ours"), asker.wire(upstream)), call())
    headers = upstream.requests[0].headers
    assert headers["authorization"] == "Bearer key-of-ours"
    assert "x-amz-date" not in headers


async def test_a_streamed_answer(asker):
    async with ScriptedUpstream([STREAMED, chunk(STREAM[:150]), chunk(STREAM[150:]), LAST_CHUNK]) as upstream:
        reply = await reply_of(connect(at(upstream), asker.wire(upstream)), call(stream=True))
    assert upstream.requests[0].path.endswith("/converse-stream")
    assert (reply.text, reply.choices[0].done.reason, reply.usage.tokens_out) == ("hi", "stop", 1)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (STREAM[:200], UpstreamBroken),
        (STREAM[:50] + b"\x00" + STREAM[51:], UpstreamBroken),
        (STREAM[:0] + failure("throttlingException", "slow down"), UpstreamBusy),
    ],
)
async def test_a_stream_that_fails_is_a_fault(body, fault, asker):
    async with ScriptedUpstream([STREAMED, chunk(body), LAST_CHUNK]) as upstream:
        with pytest.raises(fault):
            await reply_of(connect(at(upstream), asker.wire(upstream)), call(stream=True))


@pytest.mark.parametrize(
    ("status", "name", "text", "fault"),
    [
        (400, "ValidationException", "max_tokens is too large", UpstreamRejected),
        (400, "ValidationException", "The provided model identifier is invalid.", UpstreamMissing),
        (400, "ServiceQuotaExceededException", "quota", UpstreamBusy),
        (403, "AccessDeniedException", "no access to the model", UpstreamAuth),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.", UpstreamAuth),
        (403, "ExpiredTokenException", "The security token included in the request is expired", UpstreamAuth),
        (404, "ResourceNotFoundException", "Model not found", UpstreamMissing),
        (408, "ModelTimeoutException", "slow", UpstreamDown),
        (424, "ModelErrorException", "oops", UpstreamDown),
        (429, "ThrottlingException", "Too many requests", UpstreamBusy),
    ],
)
async def test_exceptions_are_faults(asker, status, name, text, fault):
    headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    body = json.dumps({"message": text}).encode()
    async with ScriptedUpstream([whole(body, status, headers)]) as upstream:
        with pytest.raises(fault) as raised:
            await reply_of(connect(at(upstream), asker.wire(upstream)), call())
    assert "of-ours" not in raised.value.message


async def test_tokens_are_counted(asker):
    async with ScriptedUpstream([whole(b'{"inputTokens": 12}')], [whole(b'{"tokens": 12}')]) as upstream:
        provider = connect(at(upstream), asker.wire(upstream))
        assert await provider.count(call()) == 12
        with pytest.raises(UpstreamBroken):
            await provider.count(call())
    assert upstream.requests[0].path.endswith("/count-tokens")
    asked = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
    assert json.loads(upstream.requests[0].body) == {"input": {"converse": asked}}


async def test_texts_become_vectors(asker):
    def titan(number):
        return whole(json.dumps({"embedding": [number], "inputTextTokenCount": 2}).encode())

    async with ScriptedUpstream([titan(1)], [titan(2)]) as upstream:
        provider = connect(at(upstream), asker.wire(upstream))
        made = await provider.embed(EmbedCall(model="amazon.titan-embed-text-v2:0", inputs=("a", "b"), clocks=CLOCKS))
    assert (made.vectors, made.usage.tokens_in) == ([[1.0], [2.0]], 4)
    assert upstream.requests[0].path == "/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert "Signature=" in upstream.requests[0].headers["authorization"]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/x",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx",
        ),
        ("../x?a#b\r\nHost: evil", "/model/..%2Fx%3Fa%23b%0D%0AHost%3A%20evil"),
    ],
)
def test_a_models_name_stays_in_its_place(model, path):
    assert connect(Options(), ScriptedWire()).ask(call(model)).path == path + "/converse"


def test_the_region_tells_the_address():
    assert Options().base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert Options(region="eu-central-1").base_url == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert Options(region="eu-central-1", base_url="https://vpce.example").base_url == "https://vpce.example"


@pytest.mark.parametrize("fields", [{"access_key_id": "a"}, {"secret_access_key": "a"}, {"region": "x.evil/"}])
def test_settings_that_cannot_work_are_refused(fields):
    with pytest.raises(ValidationError):
        Options(**fields)


def test_secrets_are_not_shown():
    assert "of-ours" not in repr(Options(api_key="key-of-ours", **PAIR))


def test_only_a_key_made_for_bedrock_is_found():
    general = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}
    assert Options.found(general) == {}
    assert Options.found({**general, "AWS_BEARER_TOKEN_BEDROCK": "k"}) == {"api_key": "k", "region": "eu-west-1"}
    assert Options.found({"AWS_BEARER_TOKEN_BEDROCK": "k"}) == {"api_key": "k"}
