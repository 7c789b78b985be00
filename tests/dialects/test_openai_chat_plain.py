"""A glance sees what the full reading sees, or nothing."""

import json

import pytest

from headgate.core.events import Done, Usage, Verbatim
from headgate.core.faults import UpstreamBroken
from headgate.dialects.openai_chat_plain import Alike, glance, goes_on
from headgate.dialects.openai_chat_watcher import Watcher, WholeWatcher

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
PIECE = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
NAMES = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def body(choice=None, usage=USAGE, **more):
    return json.dumps({**NAMES, "choices": [choice or CHOICE], "usage": usage, **more}).encode()


def chunk(piece=PIECE, **more):
    return json.dumps({**NAMES, "object": "chat.completion.chunk", "choices": [piece], **more}).encode()


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


def test_a_chunk_of_words_alone_goes_on():
    assert goes_on(chunk())
    assert goes_on(chunk(usage=None, vendor={"x": [1]}))
    assert goes_on(chunk({**PIECE, "delta": {"content": None, "tool_calls": [], "reasoning_content": "hm"}}))


@pytest.mark.parametrize(
    "piece",
    [
        chunk({**PIECE, "finish_reason": "stop"}),
        chunk({**PIECE, "index": 1}),
        chunk({**PIECE, "delta": {"tool_calls": [{"index": 0, "id": "1"}]}}),
        chunk({**PIECE, "delta": {"content": [{"type": "text", "text": "Hi"}]}}),
        chunk({**PIECE, "error": {"message": "no"}}),
        chunk({"index": 0, "finish_reason": None}),
        chunk(usage=USAGE),
        chunk(x_groq={"usage": USAGE}),
        chunk(error={"message": "no"}),
        chunk(choices=[]),
        chunk(choices=[PIECE, PIECE]),
        chunk().replace(b"Hi", b"\xff"),
        chunk(vendor="?").replace(b"?", b"\xff"),
        chunk().replace(b"Hi", b"\\ud800"),
        chunk()[:-1],
        b"[DONE]",
        b"[]",
        b"",
    ],
)
def test_a_chunk_of_anything_else_is_read(piece):
    assert not goes_on(piece)


def test_what_follows_another_piece_than_the_first_choices_words_is_read_in_full():
    other = chunk({"index": 1, "delta": {"content": "Ho"}, "finish_reason": None})
    ends = [chunk({"index": at, "delta": {}, "finish_reason": "stop"}) for at in (0, 1)]
    watcher = Watcher()
    for piece in (chunk(), chunk(), other, chunk(), ends[0]):
        list(watcher.feed(b"data: %b\n\n" % piece))
    assert not watcher.finished
    list(watcher.feed(b"data: %b\n\n" % ends[1]))
    assert watcher.finished


def framed(words='"Hi"', before=b"", after=b""):
    """A piece of a stream, as it is read from the socket."""
    return b"data: %b\n\n" % (before + chunk().replace(b'"Hi"', words.encode("utf-8", "surrogateescape")) + after)


@pytest.mark.parametrize(
    "words", ['"Ho"', '""', '" a longer one "', '"\u00e9\U0001f600"', r'"\"q\" \\ \n \ud83d\ude00"', '"}]}"']
)
@pytest.mark.parametrize("space", [b": ", b":"])
def test_pieces_are_alike_that_differ_in_their_words(words, space):
    alike = Alike()
    alike.learn(framed().replace(b": ", space))
    assert alike.fits(framed(words).replace(b": ", space))


@pytest.mark.parametrize(
    "piece",
    [
        framed("null"),
        framed('"'),
        framed('"H\ni"'),
        framed('"H\ri"'),
        framed('"H\x00i"'),
        framed('"H\\"'),
        framed('"H\\x"'),
        framed('"\\ud800"'),
        framed('"\udcff"'),
        framed('"Hi"}, "finish_reason": "stop"}, {"x": {"y": "z"'),
        framed('"Hi", "tool_calls": [{"index": 0, "id": "1"}], "x": ""'),
        framed().replace(b"chunk", b"chank"),
        framed().replace(b"null", b'"stop"'),
        framed() + framed(),
        framed()[:-1],
        framed()[1:],
        b": aside\n" + framed(),
        b"",
    ],
)
def test_pieces_that_differ_in_more_are_not_alike(piece):
    alike = Alike()
    assert not alike.fits(piece)
    alike.learn(framed())
    assert alike.fits(framed())
    assert not alike.fits(piece)


@pytest.mark.parametrize("words", ["null", r'"a \"quoted\" word"', "1"])
def test_a_piece_without_plain_words_is_no_example(words):
    alike = Alike()
    alike.learn(framed(words))
    assert not alike.fits(framed(words))


def test_a_piece_alike_is_not_taken_for_one_while_another_is_unfinished_or_after_more_than_words_came():
    watcher = Watcher()
    for piece in (framed(), framed(), framed()):
        list(watcher.feed(piece))
    assert watcher.passes(framed())
    list(watcher.feed(framed()[:30]))
    assert not watcher.passes(framed())
    list(watcher.feed(framed()[30:]))
    assert watcher.passes(framed())
    list(watcher.feed(b"data: %b\n\n" % chunk({"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "1"}]}})))
    assert not watcher.passes(framed())
