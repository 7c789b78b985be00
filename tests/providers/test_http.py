"""What providers behind HTTP share."""

import pytest

from headgate.core.call import (
    CallPart,
    Format,
    MediaPart,
    Message,
    Prompt,
    Reasoning,
    ResultPart,
    TextPart,
    Tool,
    ToolChoice,
)
from headgate.core.faults import Unsupported
from headgate.providers._http import refuse_others

HELLO = Message("user", (TextPart("hello"),))


def prompt(*messages, **fields):
    return Prompt(messages=messages or (HELLO,), **fields)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (prompt(tools=(Tool("add"),)), "tools"),
        (prompt(format=Format("json")), "response_format"),
        (prompt(reasoning=Reasoning("high")), "reasoning_effort"),
        (prompt(parallel_tools=False), "parallel_tool_calls"),
        (prompt(seed=0), "seed"),
        (prompt(temperature=0.0), "temperature"),
        (prompt(n=2), "n"),
        (prompt(Message("user", (MediaPart("image", url="https://a/b.png"),))), "messages"),
        (prompt(HELLO, Message("assistant", (CallPart("c", "add"),))), "messages"),
        (prompt(HELLO, Message("tool", (ResultPart("c"),))), "messages"),
    ],
)
def test_what_a_vendor_does_not_take_is_refused_by_its_name(asked, field):
    with pytest.raises(Unsupported) as caught:
        refuse_others(asked, "fireside", "max_tokens")
    assert caught.value.field == field


def test_what_it_takes_and_what_changes_nothing_is_not_refused():
    refuse_others(
        prompt(max_tokens=9, n=1, logprobs=False, user="ann", extra={"store": True}), "fireside", "max_tokens"
    )
    refuse_others(prompt(reasoning=Reasoning("none"), parallel_tools=True, presence_penalty=0.0), "fireside")
    shown = Message("user", (MediaPart("image", url="https://a/b.png"),))
    called = Message("assistant", (CallPart("c", "add"),))
    told = prompt(shown, called, tools=(Tool("add"),), tool_choice=ToolChoice("auto"))
    refuse_others(told, "fireside", "image", "tools", "tool_choice")
