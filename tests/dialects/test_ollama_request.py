"""What Ollama is asked."""

import pytest

from dialects._vendors import IMAGE, ROUND, SOUND, TOOL, asked
from headgate.core.call import (
    CallPart,
    MediaPart,
    Message,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
)
from headgate.core.embedding import EmbedCall
from headgate.core.events import Usage
from headgate.core.faults import InvalidField, Unsupported, UpstreamBroken, UpstreamDown
from headgate.dialects.ollama import embed_request, read_embeddings, request

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def body(*messages, **fields):
    return request(asked(*messages, **fields), "llama3.2", stream=False)


def made(*messages, **fields):
    return request(Prompt(messages=messages, **fields), "m", stream=True)


def test_the_smallest_request():
    messages = [{"role": "user", "content": "hello"}]
    assert body() == {"model": "llama3.2", "messages": messages, "stream": False}
    assert made() == {"model": "m", "messages": [], "stream": True}


def test_parameters_are_options():
    sent = made(
        max_tokens=9,
        temperature=0.0,
        top_p=0.9,
        top_k=3,
        seed=7,
        stop=("x", "y"),
        presence_penalty=1.0,
        frequency_penalty=0.5,
        n=1,
        user="somebody",
        extra={"metadata": {"a": "b"}},
    )
    assert sent["options"] == {
        "num_predict": 9,
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 3,
        "seed": 7,
        "stop": ["x", "y"],
        "presence_penalty": 1.0,
        "frequency_penalty": 0.5,
    }
    assert sent.keys() == {"model", "messages", "stream", "options"}


def test_logprobs_are_asked_for():
    sent = body(logprobs=True, top_logprobs=3)
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 3)
    assert "top_logprobs" not in body(top_logprobs=3)


def test_a_round_of_tools():
    sent = body({"role": "system", "content": "Be brief."}, *ROUND, tools=[TOOL])
    assert sent["tools"] == [TOOL]
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "abcDEF123", "function": {"name": "add", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "2", "tool_name": "add", "tool_call_id": "abcDEF123"},
    ]


def test_no_tools_are_offered_where_none_may_be_called():
    assert "tools" not in body(tools=[TOOL], tool_choice="none")
    assert "tools" in body(tools=[TOOL], tool_choice="auto")


def test_a_tool_without_parameters_has_none_to_give():
    (tool,) = body(tools=[{"type": "function", "function": {"name": "now", "strict": True}}])["tools"]
    parameters = {"type": "object", "properties": {}}
    assert tool["function"] == {"name": "now", "description": "", "parameters": parameters}


@pytest.mark.parametrize(("text", "arguments"), [("", {}), (" ", {}), ('{"a":[1]}', {"a": [1]})])
def test_arguments_are_an_object(text, arguments):
    (message,) = made(Message("assistant", (CallPart("", "f", text),)))["messages"]
    assert message["tool_calls"] == [{"function": {"name": "f", "arguments": arguments}}]


@pytest.mark.parametrize("text", ["[1]", "{", '"a"', "[" * 5000])
def test_arguments_that_are_no_object_are_refused(text):
    with pytest.raises(InvalidField):
        made(Message("assistant", (CallPart("", "f", text),)))


def test_what_is_shown_and_heard_travels_as_data():
    sent = body({"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE, SOUND]})
    assert sent["messages"] == [{"role": "user", "content": "look", "images": ["aW1n", "c25k"]}]
    result = ResultPart("c1", (TextPart("here"), MediaPart("image", data="aW1n")), "see")
    (message,) = made(Message("tool", (result,)))["messages"]
    assert message == {
        "role": "tool",
        "content": "here",
        "tool_name": "see",
        "tool_call_id": "c1",
        "images": ["aW1n"],
    }


def test_what_the_model_thought_and_said_goes_back_to_it():
    parts = (ThinkingPart("Hm"), ThinkingPart("…", "signed"), TextPart("Yes"), RefusalPart("No"))
    (message,) = made(Message("assistant", parts, name="Ann"))["messages"]
    assert message == {"role": "assistant", "content": "Yes\nNo", "thinking": "Hm…"}


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}, SCHEMA),
        ({"type": "text"}, None),
    ],
)
def test_the_form_of_the_answer(wanted, sent):
    assert body(response_format=wanted).get("format") == sent


@pytest.mark.parametrize(
    ("reasoning", "think"),
    [
        (Reasoning("none"), False),
        (Reasoning(budget=0), False),
        (Reasoning("minimal"), "low"),
        (Reasoning("medium"), "medium"),
        (Reasoning("xhigh"), "max"),
        (Reasoning(budget=20_000), "high"),
        (Reasoning(show=True), True),
        (Reasoning(), None),
        (None, None),
    ],
)
def test_how_much_to_think(reasoning, think):
    assert made(reasoning=reasoning).get("think") == think


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"n": 2}, "n"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "add"}}}, "tool_choice"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://a/b.png"}]}]},
            "messages",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "messages"),
    ],
)
def test_what_ollama_cannot_do_is_said(fields, field):
    with pytest.raises(Unsupported) as raised:
        body(**fields)
    assert raised.value.field == field


def test_embeddings_are_asked_for():
    call = EmbedCall(model="nomic-embed-text", inputs=("a", "b"), dimensions=256, purpose="query")
    assert embed_request(call) == {"model": "nomic-embed-text", "input": ["a", "b"], "dimensions": 256}
    with pytest.raises(Unsupported):
        embed_request(EmbedCall(model="m", inputs=((1, 2),)))


def test_embeddings_are_read():
    told = {"model": "nomic-embed-text", "embeddings": [[0.5, 1], [2, 3]], "prompt_eval_count": 4}
    embedded = read_embeddings(told, 2)
    assert embedded.vectors == [[0.5, 1.0], [2.0, 3.0]]
    assert (embedded.usage, embedded.model) == (Usage(4, 0), "nomic-embed-text")
    assert read_embeddings({"embedding": [1.5]}, 1).vectors == [[1.5]]


@pytest.mark.parametrize("data", [{}, {"embeddings": [[1]]}, {"embeddings": [["x"], [1]]}, {"embeddings": [[], [1]]}])
def test_embeddings_of_another_shape_are_broken(data):
    with pytest.raises(UpstreamBroken):
        read_embeddings(data, 2)


def test_an_error_in_place_of_embeddings_is_a_fault():
    with pytest.raises(UpstreamDown):
        read_embeddings({"error": "the model failed"}, 1)
