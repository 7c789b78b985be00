"""A Prompt that is written as a request and read again is the same Prompt, in every dialect that callers speak."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from headgate.dialects import (
    anthropic_messages,
    anthropic_messages_request,
    openai_chat,
    openai_chat_writer,
    openai_responses,
    openai_responses_request,
)
from properties._prompts import Words, prompts

CHAT = Words(refuses=True, audio=True, detail=True)
MESSAGES = Words(signed=True, fails=True, json=False, named_format=False, knobs=False, top_k=True)
RESPONSES = Words(refuses=True, stops=False, knobs=False, systems=1, detail=True, strict=(False, True))


def chat(prompt):
    return openai_chat_writer.request(prompt, "m", stream=False)


def messages(prompt):
    return anthropic_messages_request.request(prompt, "claude-opus-5", stream=False, native=True)


def responses(prompt):
    return openai_responses_request.request(prompt, "m", stream=False)


DIALECTS = {
    "openai-chat": (openai_chat, chat, prompts(CHAT)),
    "anthropic-messages": (anthropic_messages, messages, prompts(MESSAGES)),
    "openai-responses": (openai_responses, responses, prompts(RESPONSES)),
}


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_a_prompt_that_was_written_is_read_back(name, data):
    dialect, request, strategy = DIALECTS[name]
    prompt = data.draw(strategy)
    body = json.dumps(request(prompt)).encode()
    call = dialect.parse(json.loads(body), body)
    assert structs.replace(call.prompt, extra={}) == prompt  # a dialect's own form of a setting is kept beside it
    assert call.max_tokens == prompt.max_tokens
