"""A model cannot kill its stream by an emoji, whatever its server makes of it."""

import pytest

from headgate.core.events import Text, Verbatim
from headgate.core.faults import UpstreamBroken
from headgate.dialects import (
    anthropic_messages_reader,
    openai_chat_reader,
    openai_chat_watcher,
    openai_responses_reader,
)
from headgate.dialects.sse import decode

HALVES = [
    (rb'{"a":"\ud83c"}', "\ufffd"),
    (rb'{"a":"x\uDF0Dy"}', "x\ufffdy"),
    (rb'{"a":"\udf0d\ud83c"}', "\ufffd\ufffd"),
    (rb'{"a":"\ud83c\ud83c\udf0d"}', "\ufffd\U0001f30d"),
    (rb'{"a":"\\ud83c \ud83c\n"}', "\\ud83c \ufffd\n"),
]


@pytest.mark.parametrize(("data", "text"), HALVES)
def test_half_a_surrogate_pair_is_a_replacement_character(data, text):
    assert decode(data) == {"a": text}


@pytest.mark.parametrize("data", [rb'{"a":"\ud83c', rb'{"a":"\ud83"}', b'{"a":"\xff"}', b"[" * 100_000])
def test_what_is_no_json_stays_none(data):
    with pytest.raises(UpstreamBroken):
        decode(data)


def test_a_stream_with_half_an_emoji_is_passed_on_untouched():
    frame = rb'data: {"choices":[{"index":0,"delta":{"content":"\ud83c"}}]}' + b"\n\n"
    events = list(openai_chat_watcher.Watcher().feed(frame))
    assert Verbatim(frame) in events
    assert Text("\ufffd") in list(openai_chat_reader.StreamReader().feed(frame))
    frame = b"event: content_block_delta\n" rb'data: {"type":"content_block_delta","index":0,"x":"\ud83c"}' + b"\n\n"
    start = b'event: message_start\ndata: {"type":"message_start","message":{"type":"message"}}\n\n'
    events = list(anthropic_messages_reader.Watcher().feed(start + frame))
    assert any(isinstance(event, Verbatim) and rb"\ud83c" in event.data for event in events)
    frame = (
        b"event: response.output_text.delta\n"
        rb'data: {"type":"response.output_text.delta","delta":"\ud83c"}' + b"\n\n"
    )
    events = list(openai_responses_reader.Watcher().feed(frame))
    assert any(isinstance(event, Verbatim) and rb"\ud83c" in event.data for event in events)
