"""What a caller of OpenAI's chat dialect means."""

import pytest

from headgate.core.call import MediaPart
from headgate.core.faults import InvalidField

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
