"""Which of OpenAI's APIs answers a call in another dialect: models may be in the Responses API alone."""

import json

import pytest

from headgate.core.events import Reply
from headgate.core.faults import Then, UpstreamMissing
from headgate.core.seams import Answered
from headgate.dialects import anthropic_messages, openai_chat, openai_responses
from headgate.providers import openai
from headgate.testing import LAST_CHUNK, ScriptedUpstream, ScriptedWire, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

ASKED = {"model": "m", "max_tokens": 30, "messages": [{"role": "user", "content": "hello"}]}
REFUSED = {
    "error": {
        "message": "This model is only supported in v1/responses and not in v1/chat/completions.",
        "type": "invalid_request_error",
        "param": "model",
        "code": None,
    }
}
MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
ANSWER = {
    "id": "resp_1",
    "status": "completed",
    "model": "m-1",
    "output": [MESSAGE],
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def chat(**fields):
    fields = {**ASKED, **fields}
    return openai_chat.parse(fields, json.dumps(fields).encode())


def connected(**options):
    return openai.connect(openai.Options(**options), ScriptedWire())


def refused(body=REFUSED):
    return Answered(404, {}, json.dumps(body).encode())


async def test_a_model_that_chats_do_not_have_is_asked_again_in_the_responses_api():
    provider = connected()
    assert provider.ask(chat()).path == "/chat/completions"
    fault = provider.refused(chat(), refused())
    assert (fault.then, fault.code) == (Then.AGAIN, "not_found")
    ask = provider.ask(chat())
    assert ask.path == "/responses"
    sent = json.loads(ask.body)
    assert sent["max_output_tokens"] == 30
    assert sent["input"][0]["content"] == [{"type": "input_text", "text": "hello"}]
    assert provider.ask(chat(model="other")).path == "/chat/completions"


async def test_another_refusal_changes_nothing():
    provider = connected()
    fault = provider.refused(chat(), refused({"error": {"message": "The model `m` does not exist"}}))
    assert type(fault) is UpstreamMissing
    assert provider.ask(chat()).path == "/chat/completions"


async def test_a_server_without_chats_is_asked_in_the_responses_api_by_every_dialect():
    provider = connected(base_url="http://127.0.0.1:9/v1", chats=False)
    assert provider.ask(chat()).path == "/responses"
    assert provider.ask(anthropic_messages.parse(ASKED, b"")).path == "/responses"
    own = {"model": "m", "input": "hello"}
    assert json.loads(provider.ask(openai_responses.parse(own, json.dumps(own).encode())).body) == own


@pytest.mark.parametrize("stream", [False, True])
async def test_its_answer_is_read(asker, stream):
    final = {"type": "response.completed", "response": ANSWER}
    frames = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in ({"type": "response.created"}, final))
    script = [stream_head(), chunk(frames), LAST_CHUNK] if stream else [whole(json.dumps(ANSWER).encode())]
    async with ScriptedUpstream(script) as upstream:
        provider = openai.connect(openai.Options(chats=False), asker.wire(upstream, "/v1"))
        reply = Reply()
        async for event in provider.events(chat(stream=stream)):
            reply.add(event)
    assert (reply.text, reply.begin.model) == ("hi", "m-1")
    assert (reply.usage.tokens_in, reply.usage.tokens_out) == (3, 2)
    assert reply.choices[0].done.reason == "stop"
