"""What a Writer wrote, the Reader of the same dialect reads back: nothing is lost on the way, nothing made up."""

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts._suite import fold
from headgate.core.call import Call, Prompt
from headgate.core.entry import Entry
from headgate.core.events import Receipt
from headgate.dialects import (
    anthropic_messages_reader,
    anthropic_messages_writer,
    openai_chat_reader,
    openai_chat_writer,
    openai_responses_reader,
    openai_responses_writer,
)
from properties._answers import answers

DIALECTS = {
    "openai-chat": (openai_chat_writer, openai_chat_reader),
    "anthropic-messages": (anthropic_messages_writer, anthropic_messages_reader),
    "openai-responses": (openai_responses_writer, openai_responses_reader),
}
ANSWERS = {
    "openai-chat": answers(signed=False),
    "anthropic-messages": answers(signed=True, refusing=False),
    "openai-responses": answers(signed=True),
}


def receipt(reply):
    usage = reply.usage
    fields = {"cached": usage.cached, "reasoning": usage.reasoning}
    return Receipt(
        Entry(id="1", at=0, request_id="r", tokens_in=usage.tokens_in, tokens_out=usage.tokens_out, **fields)
    )


def read(reader, data):
    return fold([*reader.feed(data), *reader.close()])


def meaning(reply):
    """What a reply says; the vendor's own words for it may differ."""
    (choice,) = reply.choices
    usage = reply.usage
    return {
        "words": (choice.text, choice.refusal),
        "thoughts": [(thought.text, thought.signature, thought.redacted) for thought in choice.thoughts],
        "calls": [(call.id, call.name, json.loads(call.arguments)) for call in choice.calls],
        "reason": choice.done.reason,
        "usage": (usage.tokens_in, usage.tokens_out, usage.cached, usage.reasoning),
    }


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_a_stream_is_read_back_as_it_was_meant(name, data):
    writing, reading = DIALECTS[name]
    events = data.draw(ANSWERS[name])
    reply = fold(events)
    call = Call(model="m", understand=partial(Prompt, messages=()), stream=True, usage_wanted=True, id="r")
    writer = writing.Writer(call)
    written = b"".join(map(writer.feed, [*events, receipt(reply)]))
    assert meaning(read(reading.StreamReader(), written)) == meaning(reply)


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_a_whole_answer_is_read_back_as_it_was_meant(name, data):
    writing, reading = DIALECTS[name]
    reply = fold(data.draw(ANSWERS[name]))
    reply.entry = receipt(reply).entry
    call = Call(model="m", understand=partial(Prompt, messages=()), id="r")
    assert meaning(read(reading.AnswerReader(), writing.whole(call, reply))) == meaning(reply)
