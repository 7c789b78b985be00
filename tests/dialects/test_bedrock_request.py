"""What Bedrock is asked: everything a caller can say, in Converse's words, or refused by name."""

import json

import pytest

from headgate.core.call import (
    Call,
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
from headgate.core.faults import Unsupported
from headgate.dialects.bedrock_converse import request

from ._vendors import CALL, IMAGE, ROUND, SOUND, TOOL, asked

NOVA = "amazon.nova-lite-v1:0"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
SPEC = {"toolSpec": {"name": "add", "description": "Adds.", "inputSchema": {"json": {"type": "object"}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def sent(*messages, model=NOVA, **fields):
    return request(asked(*messages, **fields), model)


def turns(*parts, role="user"):
    return request(Prompt(messages=(Message(role, parts),)), NOVA)["messages"]


def test_a_plain_question():
    assert sent() == {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}


def test_every_knob():
    said = sent(model=CLAUDE, max_tokens=5, temperature=0.5, top_p=0.9, stop=["X", "Y"])
    assert said["inferenceConfig"] == {"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["X", "Y"]}
    assert said["additionalModelResponseFieldPaths"] == ["/stop_sequence"]


def test_newer_claude_models_have_no_knobs_to_turn():
    said = sent(model="anthropic.claude-opus-4-8", max_tokens=5, temperature=0.5, top_p=0.9)
    assert said["inferenceConfig"] == {"maxTokens": 5}


@pytest.mark.parametrize(
    ("model", "more"),
    [(CLAUDE, {"top_k": 3}), (NOVA, {"inferenceConfig": {"topK": 3}}), ("anthropic.claude-opus-5", None)],
)
def test_top_k_is_each_models_own(model, more):
    said = request(Prompt(messages=(Message("user", (TextPart("hello"),)),), top_k=3), model)
    assert said.get("additionalModelRequestFields") == more


def test_system_turns_stand_apart_wherever_they_were():
    said = sent(
        {"role": "system", "content": "A"}, {"role": "user", "content": "b"}, {"role": "system", "content": "C"}
    )
    assert said["system"] == [{"text": "A"}, {"text": "C"}]
    assert [message["role"] for message in said["messages"]] == ["user"]


def test_a_round_of_tools():
    said = sent(*ROUND, {"role": "user", "content": "and?"}, tools=[TOOL])
    assert said["toolConfig"] == {"tools": [SPEC]}
    assert said["messages"] == [
        {"role": "user", "content": [{"text": "1+?"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "abcDEF123", "name": "add", "input": {"a": 1}}}]},
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "abcDEF123", "content": [{"text": "2"}]}}, {"text": "and?"}],
        },
    ]


def test_roles_take_turns():
    said = sent(*({"role": role, "content": role} for role in ("user", "user", "assistant", "assistant", "user")))
    assert [(m["role"], len(m["content"])) for m in said["messages"]] == [("user", 2), ("assistant", 2), ("user", 1)]


def test_a_failed_tool_says_so_and_ids_fit():
    call = CallPart("call/" + "x" * 80, "add")
    said = turns(call, ResultPart(call.id, (TextPart("no"),), failed=True))[0]["content"]
    assert said[1]["toolResult"]["status"] == "error"
    ids = {said[0]["toolUse"]["toolUseId"], said[1]["toolResult"]["toolUseId"]}
    assert ids == {"x" * 64}
    assert turns(CallPart("a/b c", "add"))[0]["content"][0]["toolUse"]["toolUseId"] == "a_b_c"


@pytest.mark.parametrize(
    ("choice", "sent_choice"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "add"}}, {"tool": {"name": "add"}}),
    ],
)
def test_the_choice_of_a_tool(choice, sent_choice):
    assert sent(tools=[TOOL], tool_choice=choice)["toolConfig"]["toolChoice"] == sent_choice


def test_tools_that_must_not_be_called_are_not_shown():
    assert "toolConfig" not in sent(tools=[TOOL], tool_choice="none")
    with pytest.raises(Unsupported, match="used before"):
        sent(*ROUND, tools=[TOOL], tool_choice="none")


def test_an_answer_in_a_form():
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    text = sent(response_format=form)["outputConfig"]["textFormat"]
    assert text["type"] == "json_schema"
    schema = text["structure"]["jsonSchema"]
    assert (json.loads(schema["schema"]), schema["name"]) == (SCHEMA, "n")


def test_images_sounds_and_files():
    content = turns(
        MediaPart("image", "image/jpeg", "aW1n"),
        MediaPart("audio", "audio/wav", "c25k"),
        MediaPart("file", "application/pdf", "cGRm", name="A_report: 2024.pdf"),
        MediaPart("file", "text/plain", "dHh0", name="A report 2024.txt"),
        MediaPart("file", url="s3://bucket/x.docx"),
    )[0]["content"]
    assert content[:2] == [
        {"image": {"source": {"bytes": "aW1n"}, "format": "jpeg"}},
        {"audio": {"source": {"bytes": "c25k"}, "format": "wav"}},
    ]
    assert [block["document"]["name"] for block in content[2:]] == ["A report 2024", "A report 2024 (2)", "file"]
    assert [block["document"]["format"] for block in content[2:]] == ["pdf", "txt", "docx"]
    assert content[4]["document"]["source"] == {"s3Location": {"uri": "s3://bucket/x.docx"}}


def test_openais_parts_arrive():
    content = sent({"role": "user", "content": [IMAGE, SOUND]})["messages"][0]["content"]
    assert [list(block) for block in content] == [["image"], ["audio"]]


def test_signed_thoughts_are_sent_back_and_unsigned_ones_stay():
    said = turns(
        ThinkingPart("hm", "sig"),
        ThinkingPart("bare"),
        ThinkingPart(redacted="b3Bh"),
        RefusalPart("no"),
        role="assistant",
    )
    assert said[0]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "b3Bh"}},
        {"text": "no"},
    ]


def test_what_a_caller_wants_cached_gets_a_cache_point():
    mark = {"cache_control": {"type": "ephemeral"}}
    assert turns(TextPart("long", mark))[0]["content"] == [{"text": "long"}, {"cachePoint": {"type": "default"}}]
    assert sent(tools=[{**TOOL, **mark}])["toolConfig"]["tools"][-1] in ({"cachePoint": {"type": "default"}}, SPEC)


def test_turns_that_say_nothing_are_left_out():
    said = sent(
        {"role": "user", "content": "a"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "b"}
    )
    assert all(message["content"] for message in said["messages"])
    assert all(block["text"] for message in said["messages"] for block in message["content"])


@pytest.mark.parametrize(
    ("model", "reasoning", "more"),
    [
        (CLAUDE, Reasoning(budget=2000), {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (
            "anthropic.claude-opus-4-6-v1",
            Reasoning("high"),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        ("openai.gpt-oss-120b-1:0", Reasoning("low"), {"reasoning_effort": "low"}),
        (
            "us.amazon.nova-2-lite-v1:0",
            Reasoning("max"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        ),
        (NOVA, Reasoning("none"), None),
        (NOVA, Reasoning(show=True), None),
    ],
)
def test_how_much_to_think_is_each_models_own(model, reasoning, more):
    said = request(
        Prompt(messages=(Message("user", (TextPart("hello"),)),), max_tokens=4000, reasoning=reasoning), model
    )
    assert said.get("additionalModelRequestFields") == more
    assert said["inferenceConfig"]["maxTokens"] == 4000


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"seed": 1},
        {"logprobs": True},
        {"presence_penalty": 0.1},
        {"frequency_penalty": 0.1},
        {"logit_bias": {"1": 1}},
        {"modalities": ["text", "audio"]},
        {"tools": [TOOL], "parallel_tool_calls": False},
        {"tools": [{"type": "web_search"}]},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "high"},
    ],
    ids=" ".join,
)
def test_what_bedrock_cannot_do_is_refused_by_name(fields):
    with pytest.raises(Unsupported) as raised:
        sent(**fields)
    assert raised.value.field in {*fields, "tools"}


@pytest.mark.parametrize(
    "part",
    [
        MediaPart("image", url="https://x.example/a.png"),
        MediaPart("image", data="aW1n"),
        MediaPart("file", "application/zip", "eg=="),
        MediaPart("file", file_id="file-1", name="a.pdf"),
    ],
)
def test_media_that_bedrock_does_not_take_is_refused(part):
    with pytest.raises(Unsupported):
        turns(part)


def test_top_k_of_other_models_and_a_bare_system_prompt_are_refused():
    with pytest.raises(Unsupported, match="top_k"):
        request(Prompt(messages=(Message("user", (TextPart("a"),)),), top_k=3), "meta.llama3-1-8b-instruct-v1:0")
    with pytest.raises(Unsupported, match="system"):
        sent({"role": "system", "content": "A"})


def test_calls_of_our_own_shape_are_enough():
    prompt = asked({"role": "assistant", "content": None, "tool_calls": [CALL]})
    call = Call(model=NOVA, understand=lambda _: prompt)
    assert request(call.prompt, call.model)["messages"][0]["role"] == "assistant"
