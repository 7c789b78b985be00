"""One tool call at a time, also from models that cannot be told so."""

import json

import pytest

from headgate.core.call import Call, Message, Prompt, TextPart, Tool
from headgate.core.events import Done, ToolArgs, ToolCall
from headgate.providers import cohere, gemini, ollama
from headgate.testing import ScriptedWire

USER = Message("user", (TextPart("hi"),))
PARTS = [{"functionCall": {"name": "a", "args": {"x": 1}}}, {"functionCall": {"name": "b", "args": {"x": 2}}}]
GEMINI = {"candidates": [{"content": {"parts": PARTS}, "finishReason": "STOP"}]}


def call(parallel, *, stream):
    prompt = Prompt(messages=(USER,), tools=(Tool("a"), Tool("b")), parallel_tools=parallel)
    return Call(model="m", understand=lambda _: prompt, stream=stream)


def read(reader, data):
    return [event for events in (reader.feed(data), reader.close()) for event in events]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("parallel", "kept"), [(False, ["a"]), (True, ["a", "b"]), (None, ["a", "b"])])
def test_only_the_first_call_is_passed_on_to_who_wants_one_at_a_time(parallel, kept, stream):
    data = json.dumps(GEMINI).encode()
    asked = gemini.connect(gemini.Options(), ScriptedWire()).reader(call(parallel, stream=stream))
    events = read(asked, b"data: " + data + b"\n\n" if stream else data)
    assert [event.name for event in events if isinstance(event, ToolCall)] == kept
    assert len([event for event in events if isinstance(event, ToolArgs)]) == len(kept)
    assert [event.reason for event in events if isinstance(event, Done)] == ["tool"]


def test_no_vendor_refuses_who_wants_one_call_at_a_time():
    for vendor in (cohere, gemini, ollama):
        provider = vendor.connect(vendor.Options(), ScriptedWire())
        prompt = Call(
            model="m",
            understand=lambda _: Prompt(messages=(USER,), tools=(Tool("a"),), parallel_tools=False),
        )
        assert provider.ask(prompt).body
