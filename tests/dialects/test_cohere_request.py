"""What Cohere is asked."""

import pytest

from dialects._vendors import CALL, IMAGE, ROUND, SOUND, TOOL, asked
from headgate.core.call import MediaPart, Message, Prompt, Reasoning, RefusalPart, ResultPart, TextPart, ThinkingPart
from headgate.core.embedding import EmbedCall
from headgate.core.events import Usage
from headgate.core.faults import InvalidField, Unsupported, UpstreamBroken, UpstreamMissing
from headgate.dialects import cohere_embeddings
from headgate.dialects.cohere import request

NAMED = {"type": "function", "function": {"name": "add"}}
OTHER = {"type": "function", "function": {"name": "now"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def body(*messages, **fields):
    return request(asked(*messages, **fields), "command-a-03-2025", stream=False)


def made(**fields):
    return request(Prompt(messages=(), **fields), "m", stream=True)


def test_the_smallest_request():
    assert body() == {
        "model": "command-a-03-2025",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
    }
    assert made()["stream"] is True


def test_parameters_under_coheres_names():
    sent = made(
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        seed=7,
        stop=("x",),
        n=1,
        logprobs=True,
        presence_penalty=1.0,
        frequency_penalty=0.5,
        user="somebody",
        extra={"metadata": {"a": "b"}, "store": True},
    )
    assert sent == {
        "model": "m",
        "messages": [],
        "stream": True,
        "max_tokens": 9,
        "temperature": 0.5,
        "p": 0.9,
        "k": 3,
        "seed": 7,
        "stop_sequences": ["x"],
        "logprobs": True,
        "presence_penalty": 1.0,
        "frequency_penalty": 0.5,
    }


@pytest.mark.parametrize(("said", "sent"), [(1.0, 0.99), (0.0, 0.01), (0.5, 0.5)])
def test_top_p_is_as_near_as_cohere_takes_it(said, sent):
    assert made(top_p=said)["p"] == sent


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("documents", [{"id": "d", "data": {"text": "x"}}]),
        ("citation_options", {"mode": "off"}),
        ("safety_mode", "STRICT"),
        ("strict_tools", True),
    ],
)
def test_coheres_own_fields_reach_it(field, value):
    assert body(**{field: value})[field] == value


@pytest.mark.parametrize(
    ("choice", "names", "sent"),
    [
        (None, ["add", "now"], None),
        ("auto", ["add", "now"], None),
        ("none", ["add", "now"], "NONE"),
        ("required", ["add", "now"], "REQUIRED"),
        (NAMED, ["add"], "REQUIRED"),
    ],
)
def test_tools_and_the_choice_of_one(choice, names, sent):
    said = body(tools=[TOOL, OTHER], tool_choice=choice)
    assert [tool["function"]["name"] for tool in said["tools"]] == names
    assert said.get("tool_choice") == sent
    assert said["tools"][0] == TOOL


def test_a_tool_without_parameters_has_none_to_give():
    (tool,) = body(tools=[OTHER])["tools"]
    assert tool["function"] == {"name": "now", "parameters": {"type": "object", "properties": {}}}


def test_a_choice_of_a_tool_that_is_not_there_is_refused():
    with pytest.raises(InvalidField):
        body(tools=[OTHER], tool_choice=NAMED)


def test_a_round_of_tools():
    assert body({"role": "system", "content": "Be brief."}, *ROUND)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+?"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "2"},
    ]


def test_a_failed_tool_says_so():
    result = ResultPart("c1", (TextPart("no such city"),), failed=True)
    (message,) = request(Prompt(messages=(Message("tool", (result,)),)), "m", stream=False)["messages"]
    document = {"type": "document", "document": {"data": {"error": "no such city"}}}
    assert message == {"role": "tool", "tool_call_id": "c1", "content": [document]}


def test_what_a_user_shows_and_a_model_thought():
    seen = {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}}
    shown = body({"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE, seen]})["messages"][0]["content"]
    assert shown == [{"type": "text", "text": "look"}, IMAGE, seen]
    parts = (ThinkingPart("Hm", "signed"), ThinkingPart(redacted="x"), TextPart("Yes"), RefusalPart("No"))
    (message,) = request(Prompt(messages=(Message("assistant", parts),)), "m", stream=False)["messages"]
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm"},
        {"type": "text", "text": "Yes"},
        {"type": "text", "text": "No"},
    ]


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ({"type": "json_object"}, {"type": "json_object"}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            {"type": "json_object", "json_schema": SCHEMA},
        ),
        ({"type": "text"}, None),
    ],
)
def test_the_form_of_the_answer(wanted, sent):
    assert body(response_format=wanted).get("response_format") == sent


@pytest.mark.parametrize(
    ("reasoning", "sent"),
    [
        (Reasoning("none"), {"type": "disabled"}),
        (Reasoning(budget=0), {"type": "disabled"}),
        (Reasoning(budget=500), {"type": "enabled", "token_budget": 500}),
        (Reasoning("low"), {"type": "enabled", "token_budget": 1024}),
        (Reasoning("high"), {"type": "enabled"}),
        (Reasoning(show=True), None),
        (None, None),
    ],
)
def test_how_much_to_think(reasoning, sent):
    assert made(reasoning=reasoning).get("thinking") == sent


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True, "top_logprobs": 3}, "top_logprobs"),
        ({"stop": list("abcdef")}, "stop"),
        ({"presence_penalty": -0.5}, "presence_penalty"),
        ({"frequency_penalty": 1.5}, "frequency_penalty"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, "response_format"),
        ({"documents": ["x"], "response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"prediction": {"type": "content", "content": "a"}}, "prediction"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"messages": [{"role": "user", "content": [SOUND]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "messages"),
    ],
)
def test_what_cohere_cannot_do_is_said(fields, field):
    with pytest.raises(Unsupported) as raised:
        body(**fields)
    assert raised.value.field == field


def test_images_in_a_tools_result_are_refused():
    result = ResultPart("c1", (MediaPart("image", url="https://a/b.png"),))
    with pytest.raises(Unsupported):
        request(Prompt(messages=(Message("tool", (result,)),)), "m", stream=False)


@pytest.mark.parametrize(
    ("purpose", "kind"), [("", "search_document"), ("document", "search_document"), ("query", "search_query")]
)
def test_embeddings_are_asked_for(purpose, kind):
    call = EmbedCall(model="embed-v4.0", inputs=("a", "b"), dimensions=256, purpose=purpose)
    assert cohere_embeddings.request(call) == {
        "model": "embed-v4.0",
        "texts": ["a", "b"],
        "input_type": kind,
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    with pytest.raises(Unsupported):
        cohere_embeddings.request(EmbedCall(model="m", inputs=((1, 2),)))


def test_embeddings_are_read():
    meta = {"billed_units": {"input_tokens": 3.0}}
    embedded = cohere_embeddings.read({"embeddings": {"float": [[0.5, 1], [2, 3]]}, "meta": meta}, 2)
    assert (embedded.vectors, embedded.usage) == ([[0.5, 1.0], [2.0, 3.0]], Usage(3, 0, raw=meta))
    assert cohere_embeddings.read({"embeddings": [[0.5]]}, 1).usage is None


@pytest.mark.parametrize(
    "data", [{}, {"embeddings": {"float": [[1]]}}, {"embeddings": {"float": ["x", "y"]}}, {"embeddings": {"int8": []}}]
)
def test_embeddings_of_another_shape_are_broken(data):
    with pytest.raises(UpstreamBroken):
        cohere_embeddings.read(data, 2)


def test_an_error_in_place_of_embeddings_is_a_fault():
    with pytest.raises(UpstreamMissing):
        cohere_embeddings.read({"message": "model 'x' not found", "status": 404}, 1)


def test_the_thought_before_tool_calls_goes_back_as_the_plan_that_it_was():
    thought = {"role": "assistant", "content": None, "reasoning_content": "I will add.", "tool_calls": [CALL]}
    said = body(ROUND[0], thought, ROUND[2])["messages"][1]
    assert said == {"role": "assistant", "tool_plan": "I will add.", "tool_calls": [CALL]}
