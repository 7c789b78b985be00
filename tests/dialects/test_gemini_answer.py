"""What Google's answers say: streams cut anywhere, and whole."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.events import Begin, Done, Extra, Reply, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import ContextTooLong, Fault, UpstreamBroken, UpstreamBusy, UpstreamDown
from headgate.dialects.gemini_answer import AnswerReader, StreamReader, count_of

SEARCH = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
RAN = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}
IMAGE = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}, "thoughtSignature": "s-image"}
GROUNDING = {"webSearchQueries": ["weather oslo"]}


def answer(*parts, finish=None, index=0, usage=None, **more):
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": index, **more}
    if finish:
        candidate["finishReason"] = finish
    frame = {"candidates": [candidate], "responseId": "r-1", "modelVersion": "gemini-x"}
    return frame | ({"usageMetadata": usage} if usage else {})


FRAMES = [
    answer({"text": "Hm, ", "thought": True}, usage={"promptTokenCount": 9, "totalTokenCount": 9}),
    answer({"text": "Ösló?", "thought": True}),
    answer({"text": "I shall ", "thoughtSignature": "s-text"}),
    answer({"text": "look. ☂"}, SEARCH, RAN, IMAGE),
    answer({"functionCall": {"name": "weather", "args": {"city": "Ósló"}}, "thoughtSignature": "s-call"}),
    answer({"functionCall": {"id": "own", "name": "weather", "args": {}}}, groundingMetadata=GROUNDING),
    answer(
        {"text": ""},
        finish="STOP",
        usage={"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 2, "totalTokenCount": 16},
    ),
]


def sse(*frames, end="\r\n\r\n"):
    return "".join(f"data: {json.dumps(frame, ensure_ascii=False)}{end}" for frame in frames).encode()


def streamed(data, cuts=()):
    reader = StreamReader()
    edges = [0, *sorted(cuts), len(data)]
    events = [e for a, b in pairwise(edges) for e in reader.feed(data[a:b])]
    return events + list(reader.close())


def whole(body):
    reader = AnswerReader()
    data = json.dumps(body).encode()
    return [event for at in range(0, len(data), 11) for event in reader.feed(data[at : at + 11])] + list(reader.close())


def folded(events):
    reply = Reply()
    for event in events:
        reply.add(event)
    return reply


def nameless(events):
    """The events, with the ids that had to be made up all alike."""
    return [
        ToolCall(e.index, "made", e.name, e.choice, e.signature) if isinstance(e, ToolCall) and "_" in e.id else e
        for e in events
    ]


def test_a_stream_becomes_events():
    assert nameless(streamed(sse(*FRAMES))) == [
        Begin("r-1", "gemini-x"),
        Thinking("Hm, "),
        Usage(9, 0, raw={"promptTokenCount": 9, "totalTokenCount": 9}),
        Thinking("Ösló?"),
        Thinking("", "s-text"),
        Text("I shall "),
        Text("look. ☂"),
        Extra("gemini", "executableCode", SEARCH),
        Extra("gemini", "codeExecutionResult", RAN),
        Extra("gemini", "inlineData", IMAGE),
        ToolCall(0, "made", "weather", 0, "s-call"),
        ToolArgs(0, '{"city":"Ósló"}'),
        ToolCall(1, "own", "weather"),
        ToolArgs(1, "{}"),
        Extra("gemini", "groundingMetadata", GROUNDING),
        Usage(
            9,
            7,
            reasoning=2,
            raw={"promptTokenCount": 9, "totalTokenCount": 16, "candidatesTokenCount": 5, "thoughtsTokenCount": 2},
        ),
        Done("tool", 0, "STOP"),
    ]


@given(st.data(), st.sampled_from(["\n\n", "\r\n\r\n", "\r\r"]))
def test_where_a_stream_is_cut_changes_nothing(data, end):
    body = sse(*FRAMES, end=end)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=12))
    assert nameless(streamed(body, cuts)) == nameless(streamed(sse(*FRAMES)))


def test_a_streams_fold_is_the_whole_answer():
    parts = [part for frame in FRAMES for part in frame["candidates"][0]["content"]["parts"]]
    body = answer(*parts, finish="STOP", usage=FRAMES[-1]["usageMetadata"], groundingMetadata=GROUNDING)
    stream, one = folded(streamed(sse(*FRAMES))), folded(whole(body))
    for reply in (stream, one):
        reply.choices[0].calls[0].id = "made"
        reply.usage = Usage(reply.usage.tokens_in, reply.usage.tokens_out)
    assert stream == one
    assert one.choices[0].thoughts == [Thinking("Hm, Ösló?", "s-text")]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "filter"),
        ("RECITATION", "filter"),
        ("LANGUAGE", "filter"),
        ("BLOCKLIST", "filter"),
        ("PROHIBITED_CONTENT", "filter"),
        ("SPII", "filter"),
        ("IMAGE_SAFETY", "filter"),
        ("IMAGE_RECITATION", "filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("FUNCTION_CALL", "tool"),
        ("UNEXPECTED_TOOL_CALL", "error"),
        ("TOO_MANY_TOOL_CALLS", "error"),
        ("OTHER", "other"),
        ("NO_IMAGE", "other"),
        ("FINISH_REASON_UNSPECIFIED", "other"),
        ("INVENTED_TOMORROW", "other"),
    ],
)
def test_every_reason_to_stop(finish, reason):
    frame = answer({"text": "a"}, finish=finish)
    assert streamed(sse(frame))[-1] == whole(frame)[-1] == Done(reason, 0, finish)


@pytest.mark.parametrize(("finish", "reason"), [("STOP", "tool"), ("MAX_TOKENS", "length"), ("SAFETY", "filter")])
def test_only_a_good_end_is_for_a_tool(finish, reason):
    frame = answer({"functionCall": {"name": "f"}}, finish=finish)
    assert whole(frame)[-1] == Done(reason, 0, finish)


def test_a_candidate_without_content_still_ends():
    frame = {"candidates": [{"finishReason": "SAFETY", "safetyRatings": [{"blocked": True}]}]}
    assert whole(frame) == [Begin(), Extra("gemini", "safetyRatings", [{"blocked": True}]), Done("filter", 0, "SAFETY")]


def test_a_reason_in_every_frame_ends_nothing_early():
    frames = [answer({"text": text}, finish="STOP") for text in "abc"]
    events = streamed(sse(*frames))
    assert folded(events).text == "abc"
    assert [event for event in events if isinstance(event, Done)] == [Done("stop", 0, "STOP")]
    assert isinstance(events[-1], Done)


@pytest.mark.parametrize("read", [lambda frame: streamed(sse(frame)), whole])
def test_a_blocked_prompt_is_filtered(read):
    feedback = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": []}
    frame = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 4}, "responseId": "r"}
    assert read(frame) == [
        Begin("r"),
        Extra("gemini", "promptFeedback", feedback),
        Usage(4, 0, raw={"promptTokenCount": 4}),
        Done("filter", 0, "PROHIBITED_CONTENT"),
    ]


def test_a_block_in_the_middle_of_a_stream_filters_what_was_begun():
    events = streamed(sse(answer({"text": "a"}), {"promptFeedback": {"blockReason": "OTHER"}}))
    assert events[-1] == Done("filter", 0, "OTHER")


def test_several_candidates_are_several_choices():
    frames = [
        answer({"text": "a"}, index=0),
        answer({"text": "b"}, index=1),
        answer({"text": "B"}, index=1, finish="MAX_TOKENS"),
        answer({"functionCall": {"name": "f"}}, index=0, finish="STOP"),
    ]
    reply = folded(streamed(sse(*frames)))
    assert [choice.text for choice in reply.choices] == ["a", "bB"]
    assert [choice.done.reason for choice in reply.choices] == ["tool", "length"]


def test_a_call_without_a_name_is_no_call_of_a_tool():
    part = {"functionCall": {"args": {}}}
    events = whole(answer(part, finish="MALFORMED_FUNCTION_CALL"))
    assert events[1:] == [Extra("gemini", "functionCall", part), Done("error", 0, "MALFORMED_FUNCTION_CALL")]


def test_made_up_ids_are_unique():
    calls = [{"functionCall": {"name": "f", "args": {}}}] * 3
    ids = {event.id for _ in range(2) for event in whole(answer(*calls, finish="STOP")) if isinstance(event, ToolCall)}
    assert len(ids) == 6
    assert all(id_.startswith("call_") for id_ in ids)


def test_usage_counts_tools_prompt_and_thoughts():
    usage = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 3,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 6,
    }
    reply = folded(whole(answer({"text": "a"}, finish="STOP", usage=usage)))
    assert reply.usage == Usage(tokens_in=13, tokens_out=11, cached=4, reasoning=6, raw=usage)


def test_a_signature_on_words_without_shown_thoughts_makes_no_thought():
    events = whole(answer({"text": "a", "thoughtSignature": "s"}, {"thoughtSignature": "t"}, finish="STOP"))
    assert events[1:-1] == [
        Extra("gemini", "thoughtSignature", "s"),
        Text("a"),
        Extra("gemini", "thoughtSignature", "t"),
    ]


def test_logprobs_come_in_openais_shape():
    result = {
        "chosenCandidates": [{"token": "hé", "logProbability": -0.5}, {"token": "y", "logProbability": -1.5}],
        "topCandidates": [{"candidates": [{"token": "hé", "logProbability": -0.5}]}],
    }
    events = whole(answer({"text": "héy"}, finish="STOP", logprobsResult=result))
    assert events[1] == Text(
        "héy",
        0,
        [
            {
                "token": "hé",
                "logprob": -0.5,
                "bytes": [104, 195, 169],
                "top_logprobs": [{"token": "hé", "logprob": -0.5, "bytes": [104, 195, 169]}],
            },
            {"token": "y", "logprob": -1.5, "bytes": [121], "top_logprobs": []},
        ],
    )


def test_logprobs_without_text_are_kept():
    result = {"chosenCandidates": [{"token": "a", "logProbability": -1}]}
    reply = folded(whole(answer(finish="STOP", logprobsResult=result)))
    assert [token["token"] for token in reply.choices[0].logprobs] == ["a"]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [answer({"text": "a"})],
        [answer({"text": "a"}, index=0, finish="STOP"), answer({"text": "b"}, index=1)],
        [{"usageMetadata": {"promptTokenCount": 1}}],
        [{"something": "else"}],
    ],
)
def test_a_stream_without_an_end_is_broken(frames):
    with pytest.raises(UpstreamBroken):
        streamed(sse(*frames))


def test_a_stream_cut_inside_a_frame_is_broken():
    body = sse(*FRAMES)
    with pytest.raises(UpstreamBroken):
        streamed(body[: len(body) - 40])


def test_a_last_frame_without_its_blank_line_is_read():
    assert streamed(sse(*FRAMES, end="\n\n").rstrip())[-1] == Done("tool", 0, "STOP")


@pytest.mark.parametrize("body", [{}, {"candidates": []}, {"usageMetadata": {"promptTokenCount": 1}}])
def test_a_whole_answer_without_a_candidate_is_broken(body):
    with pytest.raises(UpstreamBroken):
        whole(body)


def test_a_whole_answer_that_gives_no_reason_is_still_an_answer():
    assert whole(answer({"text": "a"}))[-1] == Done("other", 0, "")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ({"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}, UpstreamBusy),
        ({"code": 500, "message": "An internal error has occurred.", "status": "INTERNAL"}, UpstreamDown),
        (
            {
                "code": 400,
                "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                "status": "INVALID_ARGUMENT",
            },
            ContextTooLong,
        ),
    ],
)
def test_an_error_inside_a_200_is_a_fault(error, fault):
    with pytest.raises(fault):
        whole({"error": error})
    reader = StreamReader()
    assert list(reader.feed(sse(answer({"text": "a"}))))[1] == Text("a")
    with pytest.raises(fault):
        list(reader.feed(sse({"error": error})))


@pytest.mark.parametrize(
    "body",
    [
        {"candidates": {"content": 1}},
        {"candidates": [1]},
        {"candidates": [{"content": [1]}]},
        {"candidates": [{"content": {"parts": [1]}}]},
        {"candidates": [{"content": {"parts": [{"text": 5}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": [1]}}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "willContinue": True}}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": "f"}]}}]},
        {"candidates": [{"index": 10**9}]},
        {"candidates": [{"index": -1}]},
        {"candidates": [{"index": "0"}]},
        {"candidates": [{"finishReason": 1}]},
        {"candidates": [{"logprobsResult": {"chosenCandidates": [{"token": 1}]}}]},
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": "many"}},
        {"promptFeedback": "no"},
    ],
)
def test_nonsense_is_a_fault_and_no_crash(body):
    with pytest.raises(UpstreamBroken):
        whole(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["candidates", "content", "parts", "text", "functionCall", "name", "index", "usageMetadata", "error"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_json_crashes_a_reader(value):
    for read in (whole, lambda body: streamed(sse(body))):
        try:
            read(value)
        except Fault:
            continue


def test_a_count_of_tokens():
    assert count_of({"totalTokens": 31, "promptTokensDetails": []}) == 31
    for nonsense in ({}, {"totalTokens": "31"}):
        with pytest.raises(UpstreamBroken):
            count_of(nonsense)
    with pytest.raises(UpstreamBusy):
        count_of({"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}})
