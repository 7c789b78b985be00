"""Mistral's accent of OpenAI's dialect, both ways."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects._vendors import CALL, CUTS, IMAGE, ROUND, SOUND, TOOL, asked, cut, fold, frames, read
from headgate.core.call import CallPart, MediaPart, Message, Prompt, Reasoning, RefusalPart, TextPart, ThinkingPart
from headgate.core.embedding import EmbedCall
from headgate.core.events import Begin, Done, Extra, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import ContextTooLong, Fault, Unsupported, UpstreamBroken, UpstreamBusy
from headgate.dialects.mistral import AnswerReader, StreamReader, call_id, embed_request, request

USAGE = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29, "num_cached_tokens": 16}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm, grün."}], "signature": "c2ln"}
REFERENCE = {"type": "reference", "reference_ids": [1, 2]}
MESSAGE = {
    "role": "assistant",
    "content": [THOUGHT, {"type": "text", "text": "Gras ist grün 🌱"}, REFERENCE],
    "tool_calls": [{"id": "vAKGXGFZD", "index": 0, "function": {"name": "add", "arguments": '{"a": 1}'}}],
}
ANSWER = {
    "id": "cmpl",
    "object": "chat.completion",
    "model": "mistral-small-latest",
    "choices": [{"index": 0, "finish_reason": "tool_calls", "message": MESSAGE}],
    "usage": USAGE,
}


def said(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "cmpl", "object": "chat.completion.chunk", "model": ANSWER["model"], "choices": [choice], **more}


STREAM = (
    frames(
        said({"role": "assistant", "content": ""}),
        said({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm, "}]}]}),
        said({"content": [THOUGHT | {"thinking": [{"type": "text", "text": "grün."}]}]}),
        said({"content": "Gras ist "}),
        said({"content": [{"type": "text", "text": "grün 🌱"}, REFERENCE]}),
        said({"content": "", "tool_calls": MESSAGE["tool_calls"]}, "tool_calls", usage=USAGE),
    )
    + b"data: [DONE]\n\n"
)


def whole(body):
    return read(AnswerReader(), json.dumps(body).encode())


def body(*messages, **fields):
    return request(asked(*messages, **fields), "mistral-small-latest", stream=False)


def refused(**fields):
    with pytest.raises(Unsupported) as raised:
        body(**fields)
    return raised.value.field


def test_a_whole_answer():
    assert whole(ANSWER) == [
        Begin("cmpl", "mistral-small-latest"),
        Thinking("Hm, grün.", "c2ln"),
        Text("Gras ist grün 🌱"),
        Extra("mistral", "reference", REFERENCE),
        ToolCall(0, "vAKGXGFZD", "add"),
        ToolArgs(0, '{"a": 1}'),
        Done("tool", 0, "tool_calls"),
        Usage(20, 9, cached=16, raw=USAGE),
    ]


@given(CUTS, st.booleans())
def test_a_stream_folds_to_the_whole_answer_however_it_is_cut(cuts, crlf):
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    assert fold(read(StreamReader(), *cut(stream, cuts))) == fold(whole(ANSWER))


def test_references_inside_a_thought_are_kept():
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "So "}, REFERENCE]}
    events = read(StreamReader(), frames(said({"content": [thought]}), said({}, "stop")))
    assert events[1:] == [Thinking("So "), Extra("mistral", "reference", REFERENCE), Done("stop", 0, "stop")]


@pytest.mark.parametrize(
    ("finish", "reason"), [("stop", "stop"), ("length", "length"), ("model_length", "length"), ("error", "error")]
)
def test_every_reason_to_stop(finish, reason):
    assert read(StreamReader(), frames(said({"content": "a"}, finish)))[-1] == Done(reason, 0, finish)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ({"object": "error", "message": "Rate limit exceeded", "code": "429"}, UpstreamBusy),
        ({"object": "error", "message": "prompt is too long", "type": "invalid_request_error"}, ContextTooLong),
        ({"error": {"message": "Service unavailable", "code": 503}}, UpstreamBusy),
    ],
)
def test_an_error_inside_a_200_is_a_fault(error, fault):
    with pytest.raises(fault):
        whole(error)
    with pytest.raises(fault):
        read(StreamReader(), frames(said({"content": "a"}), error))


@pytest.mark.parametrize("stream", [STREAM[: STREAM.index(b"tool_calls")], b"", frames(said({"content": "a"}))])
def test_a_stream_without_an_end_is_broken(stream):
    with pytest.raises(UpstreamBroken):
        read(StreamReader(), stream)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*said({}), *MESSAGE, *THOUGHT, "delta", "function", "name"]), inner)
    ),
    max_leaves=10,
)


@given(json_values)
def test_no_json_crashes_a_reader(value):
    for read_it in (whole, lambda each: read(StreamReader(), b"data: %b\n\n" % json.dumps(each).encode())):
        try:
            read_it(value)
        except Fault:
            continue


def test_the_smallest_request():
    assert body() == {"model": "mistral-small-latest", "messages": [{"role": "user", "content": "hello"}]}


def test_parameters_under_mistrals_names():
    sent = body(
        max_completion_tokens=9,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        stop="x",
        n=2,
        presence_penalty=1,
        frequency_penalty=0.5,
        reasoning_effort="high",
        user="somebody",
        logprobs=False,
        store=True,
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        stream_options={"include_usage": True},
    )
    del sent["model"], sent["messages"]
    assert sent == {
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "random_seed": 7,
        "stop": ["x"],
        "n": 2,
        "presence_penalty": 1,
        "frequency_penalty": 0.5,
        "reasoning_effort": "high",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    }


def test_a_stream_is_asked_for_without_options():
    sent = request(asked(), "m", stream=True)
    assert sent["stream"] is True
    assert "stream_options" not in sent


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt_mode", "reasoning"),
        ("safe_prompt", False),
        ("metadata", {"a": "b"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("prompt_cache_key", "k"),
        ("guardrails", [{"block_on_error": True}]),
    ],
)
def test_mistrals_own_fields_reach_it(field, value):
    assert body(**{field: value})[field] == value


def test_tools_and_their_results():
    sent = body(*ROUND, tools=[TOOL, {"type": "function", "function": {"name": "now"}}], tool_choice="required")
    assert sent["tool_choice"] == "any"
    assert [tool["function"]["parameters"] for tool in sent["tools"]] == [
        {"type": "object"},
        {"type": "object", "properties": {}},
    ]
    assert sent["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "2"},
    ]
    named = {"type": "function", "function": {"name": "add"}}
    assert body(tools=[TOOL], tool_choice=named)["tool_choice"] == named


@given(st.text(max_size=40))
def test_an_id_of_any_vendor_becomes_nine_letters_and_digits(id_):
    made = call_id(id_)
    assert len(made) == 9
    assert made.isascii()
    assert made.isalnum()
    assert call_id(id_) == made
    assert call_id(made) == made


def test_a_foreign_id_is_the_same_in_the_call_and_in_its_result():
    history = json.loads(json.dumps(ROUND).replace("abcDEF123", "toolu_01ABCDEFGH"))
    _, called, answered = body(*history)["messages"]
    assert called["tool_calls"][0]["id"] == answered["tool_call_id"] == call_id("toolu_01ABCDEFGH")


def test_what_a_user_shows():
    pdf = MediaPart("file", mime="application/pdf", data="cGRm", name="a.pdf")
    parts = (TextPart("look"), pdf, MediaPart("file", url="https://a/b.pdf"), MediaPart("file", file_id="f1"))
    (message,) = request(Prompt(messages=(Message("user", parts, name="Ann"),)), "m", stream=False)["messages"]
    assert message == {
        "role": "user",
        "content": [
            {"type": "text", "text": "look"},
            {"type": "document_url", "document_url": "data:application/pdf;base64,cGRm", "document_name": "a.pdf"},
            {"type": "document_url", "document_url": "https://a/b.pdf"},
            {"type": "file", "file_id": "f1"},
        ],
    }
    seen = {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}}
    (message,) = body({"role": "user", "content": [IMAGE, seen, SOUND]})["messages"]
    assert message["content"] == [IMAGE, seen, {"type": "input_audio", "input_audio": "c25k"}]


def test_what_the_model_thought_and_said_goes_back_to_it():
    thoughts = (ThinkingPart("Hm", "c2ln"), ThinkingPart(redacted="opaque"))
    said_ = Message("assistant", (*thoughts, RefusalPart("No."), CallPart("abcDEF123", "add", "{}", "google")))
    sent = request(Prompt(messages=(said_, Message("user", (TextPart("why"),)))), "m", stream=False)
    assert sent["messages"][0] == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}], "signature": "c2ln"},
            {"type": "text", "text": "No."},
        ],
        "tool_calls": [{"id": "abcDEF123", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
    }


def test_words_that_the_answer_is_to_begin_with_are_a_prefix():
    sent = body({"role": "user", "content": "a"}, {"role": "assistant", "content": "So"})
    assert sent["messages"][-1] == {"role": "assistant", "content": "So", "prefix": True}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": ""}]}]}, "messages"),
    ],
)
def test_what_mistral_cannot_do_is_said(fields, field):
    assert refused(**fields) == field


def test_top_k_is_refused():
    with pytest.raises(Unsupported):
        request(Prompt(messages=(), top_k=5), "m", stream=False)


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [(Reasoning(budget=0), "none"), (Reasoning(budget=4000), "medium"), (Reasoning("max"), "xhigh")],
)
def test_how_much_to_think(reasoning, effort):
    assert request(Prompt(messages=(), reasoning=reasoning), "m", stream=False)["reasoning_effort"] == effort


def test_embeddings_are_asked_for():
    call = EmbedCall(model="codestral-embed", inputs=("a", "b"), dimensions=256, purpose="query")
    assert embed_request(call) == {"model": "codestral-embed", "input": ["a", "b"], "output_dimension": 256}
    with pytest.raises(Unsupported):
        embed_request(EmbedCall(model="m", inputs=((1, 2),)))
