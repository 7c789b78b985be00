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
