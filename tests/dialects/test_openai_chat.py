"""What a caller of OpenAI's chat dialect means."""

import pytest

from headgate.core.call import MediaPart
from headgate.core.faults import InvalidField
from headgate.dialects.openai_chat import parse

from ._vendors import asked


@pytest.mark.parametrize(
    ("sound", "part"),
    [
        ({"data": "c25k", "format": "mp3"}, MediaPart("audio", mime="audio/mp3", data="c25k")),
        ("c25k", MediaPart("audio", mime="audio/wav", data="c25k")),
        ("https://sounds.example/a.mp3", MediaPart("audio", url="https://sounds.example/a.mp3")),
        ("data:audio/mp3;base64,c25k", MediaPart("audio", mime="audio/mp3", data="c25k")),
    ],
)
def test_a_sound_may_be_data_or_an_address(sound, part):
    message = {"role": "user", "content": [{"type": "input_audio", "input_audio": sound}]}
    assert asked(message).messages[0].parts == (part,)


@pytest.mark.parametrize("schema", [True, "object", [1]])
def test_parameters_that_are_no_object_are_refused_by_name(schema):
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with pytest.raises(InvalidField) as caught:
        asked(tools=[tool])
    assert caught.value.field == "tools[0].function.parameters"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "tool", "tool_call_id": [1], "content": "noon"}, "messages[0].tool_call_id"),
        ({"role": "user", "name": {}, "content": "hi"}, "messages[0].name"),
        ({"role": "assistant", "content": "hi", "tool_calls": "abc"}, "messages[0].tool_calls"),
        (
            {"role": "assistant", "tool_calls": [{"id": [], "function": {"name": "f"}}]},
            "messages[0].tool_calls[0].id",
        ),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, "messages[0].tool_calls[0].function"),
        ({"role": "assistant", "tool_calls": [{"type": "custom", "custom": "x"}]}, "messages[0].tool_calls[0].custom"),
        ({"role": "assistant", "content": "", "function_call": "now"}, "messages[0].function_call"),
    ],
)
def test_a_message_of_a_wrong_shape_is_refused_by_name(message, field):
    with pytest.raises(InvalidField) as caught:
        parse({"messages": [message]}, b"")
    assert caught.value.field == field
    assert field in caught.value.message


EDGES = {
    "model": ["m", "", None, 5],
    "stream": [True, None, 1, "true"],
    "stream_options": [{}, {"include_usage": True}, None, [], 5],
    "max_tokens": [1, 10**7, 0, 10**7 + 1, 1.0, True, None],
    "max_completion_tokens": [1, 10**7, 0, 10**7 + 1, 10**30],
    "temperature": [0, 2, 2.0, -0.01, 2.01, True, "1", None],
    "top_p": [0, 1, -0.01, 1.01],
    "n": [1, 128, 0, 129, 1.0, True],
    "user": ["ann", "", None, 5],
}
WORDS = [
    {"role": role, "content": "hi"} for role in ("system", "developer", "user", "assistant", "tool", "function", "me")
]


def outcome(fields):
    try:
        call = parse(fields, b"")
    except InvalidField as fault:
        return fault.message
    return call.model, call.stream, call.max_tokens, call.n, call.usage_wanted


@pytest.mark.parametrize("more", [{name: value} for name, values in EDGES.items() for value in values])
def test_a_quick_look_finds_what_a_close_one_does(more):
    fields = {"messages": WORDS[:1], **more}
    assert outcome(fields) == outcome({**fields, "seed": None})


@pytest.mark.parametrize("message", [*WORDS, {"role": "user"}, {"role": "user", "content": None}, 5])
def test_a_quick_look_at_a_message_finds_what_a_close_one_does(message):
    fields = {"messages": [message]}
    assert outcome(fields) == outcome({**fields, "seed": None})
