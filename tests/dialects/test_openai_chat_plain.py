"""A glance sees what the full reading sees, or nothing."""

import json

import pytest

from headgate.core.events import Done, Usage, Verbatim
from headgate.core.faults import UpstreamBroken
from headgate.dialects.openai_chat_plain import glance
from headgate.dialects.openai_chat_watcher import WholeWatcher

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
NAMES = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def body(choice=None, usage=USAGE, **more):
    return json.dumps({**NAMES, "choices": [choice or CHOICE], "usage": usage, **more}).encode()


def read(answer):
    reader = WholeWatcher()
    reader.feed(answer)
    return list(reader.close())


def test_a_plain_answer_is_seen():
    assert glance(body()) == ("stop", 5, 7)
    assert read(body()) == [Verbatim(body()), Done("stop", raw="stop"), Usage(5, 7)]


@pytest.mark.parametrize(
    "answer",
    [
        body(usage=None),
        body(usage={**USAGE, "prompt_tokens_details": {"cached_tokens": 3}}),
        body(usage={**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}}),
        body(usage={**USAGE, "prompt_cache_hit_tokens": 4}),
        body(usage={**USAGE, "prompt_tokens": -1}),
        body(usage={**USAGE, "prompt_tokens": "5"}),
        body(choice={**CHOICE, "index": 1}),
        body(choice={**CHOICE, "finish_reason": None}),
        body(choice={"index": 0, "finish_reason": "stop"}),
        body(error={"message": "no"}),
        body().replace(b"Hi", b"\xff"),
        body().replace(b"Hi", b"\\ud800"),
        body(choice={**CHOICE, "message": {"role": "assistant", "tool_calls": [{"id": "1"}]}}),
        body(id=None),
        body()[:-1],
    ],
)
def test_what_is_not_plain_is_left_to_the_reader(answer):
    assert glance(answer) is None


def test_what_is_left_to_the_reader_is_understood_or_refused():
    assert read(body(usage={**USAGE, "prompt_cache_hit_tokens": 4}))[-1].cached == 4
    with pytest.raises(UpstreamBroken):
        read(body().replace(b"Hi", b"\xff"))


def test_words_that_nobody_counted_are_told_so_that_they_can_be():
    assert [event.text for event in read(body(usage=None)) if hasattr(event, "text")] == ["Hi"]
