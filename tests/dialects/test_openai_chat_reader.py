"""OpenAI's chat dialect with the accents of the servers that speak it: everybody's means the same."""

import json

import pytest

from headgate.core.events import Done, SaidCall, Usage
from headgate.core.faults import UpstreamBroken, UpstreamBusy, UpstreamDown, UpstreamRejected
from headgate.dialects.openai_chat_reader import AnswerReader, StreamReader

from ._vendors import fold, frames, read

END = b"data: [DONE]\n\n"


def chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def calls(*pieces, finish="tool_calls"):
    return [*(chunk({"tool_calls": piece}) for piece in pieces), chunk({}, finish)]


HI, STOP = chunk({"content": "hi"}), chunk({}, "stop")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


def streamed(*chunks):
    return fold(read(StreamReader(), frames(*chunks) + END))


def whole(message, finish="stop", **more):
    body = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}
    return fold(read(AnswerReader(), json.dumps(body).encode()))


@pytest.mark.parametrize(
    "body",
    [
        frames(HI, STOP),
        frames(HI, STOP) + END + END,
        frames(HI, STOP) + b"data:[DONE]",
        frames(HI, STOP) + b"data: [DONE] \n\n",
        b"data:\n\n" + frames(HI) + b"data: \n\n: still here\n\n" + frames(STOP) + END,
        b"event: ping\ndata: {}\n\n" + frames(HI, STOP) + END,
        frames({"id": "c", "object": "chat.completion.chunk", "prompt_annotations": []}, HI, STOP) + END,
        frames({"id": "c", "choices": None, "usage": USAGE}, HI, STOP) + END,
        frames(chunk(None), HI, STOP) + END,
        frames(chunk({"content": "hi"}, "null"), chunk({}, "null"), STOP) + END,
        frames(chunk({"content": {"type": "text", "text": "hi"}}), STOP) + END,
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_stream_means_the_same_in_every_accent(body, size):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    choice = fold(read(StreamReader(), *pieces)).choices[0]
    assert (choice.text, choice.done) == ("hi", Done("stop", 0, "stop"))


def test_null_as_a_word_ends_nothing():
    with pytest.raises(UpstreamBroken):
        streamed(chunk({"content": "hi"}, "null"))


@pytest.mark.parametrize("delta", [{"reasoning": {"content": "hm"}}, {"reasoning_text": "hm"}, {"reasoning": "hm"}])
def test_thoughts_are_known_under_every_name(delta):
    assert streamed(chunk(delta), HI, STOP).choices[0].thinking == "hm"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([[{"id": "a", "function": {"name": "f", "arguments": "{"}}], [{"function": {"arguments": "}"}}]], ["a"]),
        ([[{"index": 1, "id": "a", "function": {"name": "f", "arguments": {}}}]], ["a"]),
        ([[{"index": 0, "function": {"name": "f", "arguments": "{}"}}]], ["call_0_0"]),
        ([[{"id": at, "function": {"name": "f", "arguments": "{}"}}] for at in "ab"], ["a", "b"]),
        ([[{"index": 0, "id": at, "function": {"name": "f", "arguments": "{}"}}] for at in "ab"], ["a", "b"]),
    ],
)
def test_pieces_of_tool_calls_are_put_together_however_they_are_numbered(pieces, said):
    choice = streamed(*calls(*pieces, finish="stop")).choices[0]
    assert [(call.id, call.name, call.arguments or "{}") for call in choice.calls] == [(id_, "f", "{}") for id_ in said]
    assert choice.done == Done("tool", 0, "stop")


@pytest.mark.parametrize(
    "chunks",
    [
        [HI, STOP, {"id": "c", "choices": [], "usage": USAGE}],
        [HI, chunk({}, "stop", usage={"prompt_tokens": 3.0, "completion_tokens": 2.0})],
        [HI, {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]}],
        [chunk({"content": "hi"}, usage={"prompt_tokens": 3, "completion_tokens": 1}), chunk({}, "stop", usage=USAGE)],
    ],
)
def test_tokens_are_counted_wherever_they_are_told(chunks):
    usage = streamed(*chunks).usage
    assert (usage.tokens_in, usage.tokens_out) == (3, 2)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("eos_token", "stop"), ("abort", "error"), ("new", "other")],
)
def test_every_reason_to_stop(finish, reason):
    assert streamed(HI, chunk({}, finish)).choices[0].done == Done(reason, 0, finish)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"error": "boom"}, UpstreamDown),
        ({"error": {"message": "slow down", "code": 429}}, UpstreamBusy),
        ({"object": "error", "message": "too hot", "code": 400}, UpstreamRejected),
        ({"detail": "boom"}, UpstreamDown),
        (
            {"choices": [{"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "gone"}}]},
            UpstreamDown,
        ),
        ({"choices": None}, UpstreamBroken),
    ],
)
def test_an_error_is_one_in_every_spelling(said, fault):
    with pytest.raises(fault):
        streamed(HI, said)
    with pytest.raises(fault):
        read(AnswerReader(), json.dumps(said).encode())


def test_a_byte_order_mark_before_an_answer_says_nothing():
    body = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}).encode()
    assert fold(read(AnswerReader(), b"\xef\xbb\xbf" + body)).text == "hi"


def test_a_whole_answer_in_an_accent():
    called = {"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}], "content": None}
    reply = whole(called, usage={"prompt_tokens": 3.0, "completion_tokens": 2})
    assert reply.choices[0].calls == [SaidCall("call_0_0", "f", '{"x":1}')]
    assert reply.usage == Usage(3, 2, raw={"prompt_tokens": 3.0, "completion_tokens": 2})
