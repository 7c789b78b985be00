"""Azure OpenAI behind real sockets: where it is asked, with which credential, and what its filters say."""

import json
from contextlib import aclosing

import pytest
from pydantic import ValidationError

from headgate.core.call import Call, Clocks, Message, Prompt, TextPart
from headgate.core.embedding import EmbedCall
from headgate.core.events import Extra, Reply
from headgate.core.faults import UpstreamAuth, UpstreamBusy, UpstreamMissing, UpstreamRejected
from headgate.dialects import openai_chat, openai_responses, openai_responses_reader
from headgate.providers.azure import Options, connect
from headgate.providers.kinds import kinds
from headgate.testing import LAST_CHUNK, ScriptedUpstream, ScriptedWire, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

KEY = "key-of-ours"
CLOCKS = Clocks(connect=5, first_event=5, idle=5, total=20)
FOUND = {"hate": {"filtered": False, "severity": "safe"}}
CHAT = {
    "id": "i",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-11-20",
    "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop", "content_filter_results": FOUND}],
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FOUND}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}
FRAME = (
    b"data: %b\n\n"
    % json.dumps({"id": "i", "choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
)


def options(**fields):
    return Options(**({"base_url": "https://mine.openai.azure.com/", "api_key": KEY} | fields))


def call(model="prod", *, stream=False):
    prompt = Prompt(messages=(Message("user", (TextPart("hello"),)),), max_tokens=9)
    return Call(model=model, understand=lambda _: prompt, stream=stream, clocks=CLOCKS)


async def reply_of(provider, asked):
    reply = Reply()
    async with aclosing(provider.events(asked)) as events:
        async for event in events:
            reply.add(event)
    return reply


async def test_the_v1_endpoint_names_the_deployment_in_the_body(asker):
    async with ScriptedUpstream([whole(json.dumps(CHAT).encode())]) as upstream:
        reply = await reply_of(connect(options(), asker.wire(upstream)), call())
    (request,) = upstream.requests
    assert request.path == "/openai/v1/chat/completions"
    assert (request.headers["api-key"], request.headers.get("authorization")) == (KEY, None)
    body = json.loads(request.body)
    assert (body["model"], body["max_completion_tokens"]) == ("prod", 9)
    assert (reply.text, reply.begin.model, reply.usage.tokens_in) == ("hi", "gpt-4o-2024-11-20", 3)
    assert Extra("azure", "content_filter_results", FOUND) in reply.choices[0].extras


async def test_a_dated_version_names_the_deployment_in_the_path(asker):
    async with ScriptedUpstream([stream_head(), chunk(FRAME), LAST_CHUNK]) as upstream:
        provider = connect(options(api_version="2024-10-21"), asker.wire(upstream))
        reply = await reply_of(provider, call(stream=True))
    assert upstream.requests[0].path == "/openai/deployments/prod/chat/completions?api-version=2024-10-21"
    assert reply.text == "hi"


def test_the_preview_of_the_v1_endpoint_can_be_asked_for():
    ask = connect(options(api_version="preview"), ScriptedWire()).ask(call())
    assert ask.path == "/openai/v1/chat/completions?api-version=preview"


@pytest.mark.parametrize(
    ("version", "path"),
    [("v1", "/openai/v1/responses"), ("2025-04-01-preview", "/openai/responses?api-version=2025-04-01-preview")],
)
def test_a_resource_that_has_the_responses_api_is_asked_by_it(version, path):
    asked = openai_responses.parse({"model": "asked", "input": "hello"}, b"{}").aimed("prod", None, CLOCKS)
    provider = connect(options(responses=True, api_version=version), ScriptedWire())
    assert provider.ask(asked).path == path
    assert json.loads(provider.ask(asked).body)["model"] == "prod"
    assert isinstance(provider.reader(asked), type(openai_responses_reader.watcher(stream=False)))
    assert "chat/completions" in connect(options(), ScriptedWire()).ask(asked).path


def test_a_deployments_name_stays_in_its_place():
    provider = connect(options(api_version="2024-10-21"), ScriptedWire())
    assert provider.ask(call("../x?a=b#c")).path.startswith("/openai/deployments/..%2Fx%3Fa%3Db%23c/chat/")


def test_an_entra_token_goes_before_a_key():
    headers = dict(connect(options(token="entra"), ScriptedWire()).ask(call()).headers)
    assert headers == {"authorization": "Bearer entra"}


async def test_a_caller_of_the_dialect_is_passed_on_filters_and_all(asker):
    body = {"model": "asked", "messages": [{"role": "user", "content": "hello"}], "data_sources": [{"new": 1}]}
    asked = openai_chat.parse(body, json.dumps(body).encode()).aimed("prod", None, CLOCKS)
    async with ScriptedUpstream([whole(json.dumps(CHAT).encode())]) as upstream:
        reply = await reply_of(connect(options(), asker.wire(upstream)), asked)
    assert json.loads(upstream.requests[0].body) == body | {"model": "prod"}
    assert json.loads(reply.verbatim) == CHAT


async def test_texts_become_vectors(asker):
    answer = {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 2}}
    async with ScriptedUpstream([whole(json.dumps(answer).encode())]) as upstream:
        provider = connect(options(api_version="2024-10-21"), asker.wire(upstream))
        embedded = await provider.embed(EmbedCall(model="ada", inputs=("a",), clocks=CLOCKS))
    assert (embedded.vectors, embedded.usage.tokens_in) == ([[0.5]], 2)
    (request,) = upstream.requests
    assert request.path == "/openai/deployments/ada/embeddings?api-version=2024-10-21"
    assert request.headers["api-key"] == KEY


async def test_a_filtered_prompt_is_refused_with_what_was_found(asker):
    found = {"violence": {"filtered": True, "severity": "medium"}}
    error = {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found},
    }
    async with ScriptedUpstream([whole(json.dumps({"error": error}).encode(), 400)]) as upstream:
        with pytest.raises(UpstreamRejected, match="content management policy") as raised:
            await reply_of(connect(options(), asker.wire(upstream)), call())
    assert raised.value.details == found


@pytest.mark.parametrize(
    ("status", "error", "fault"),
    [
        (401, {"code": "401", "message": "Access denied due to invalid subscription key."}, UpstreamAuth),
        (404, {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}, UpstreamMissing),
        (429, {"code": "429", "message": "Rate limit exceeded. Please retry after 12 seconds."}, UpstreamBusy),
    ],
)
async def test_errors_are_faults_that_tell_no_key(asker, status, error, fault):
    async with ScriptedUpstream([whole(json.dumps({"error": error}).encode(), status)]) as upstream:
        with pytest.raises(fault) as raised:
            await reply_of(connect(options(), asker.wire(upstream)), call())
    assert KEY not in raised.value.message
    assert raised.value.retry_after == (12 if status == 429 else None)


@pytest.mark.parametrize("ending", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
def test_the_endpoint_may_be_written_in_every_form_that_azure_shows(ending):
    assert options(base_url="https://x.openai.azure.com" + ending).base_url == "https://x.openai.azure.com"


@pytest.mark.parametrize(
    "fields", [{"api_version": "2024"}, {"api_version": "v1&x=1"}, {"api_version": "2024-10-21\n"}]
)
def test_a_version_that_is_none_is_refused(fields):
    with pytest.raises(ValidationError):
        options(**fields)


def test_the_well_known_settings():
    found = Options.found({"AZURE_OPENAI_ENDPOINT": "https://x", "AZURE_OPENAI_API_KEY": "k"})
    assert found == {"base_url": "https://x", "api_key": "k"}
    assert Options.found({"AZURE_OPENAI_API_KEY": "k", "OPENAI_API_VERSION": "2024-10-21"}) == {}
    assert kinds()["azure"].options is Options
