"""The Responses API, the caller's side: what is refused at the door, and what a body means."""

import json

import pytest

from headgate.core.call import (
    CallPart,
    Format,
    MediaPart,
    Message,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
    ToolChoice,
)
from headgate.core.faults import InvalidField, Unsupported
from headgate.dialects import openai_chat_writer
from headgate.dialects.openai_responses import parse

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "now",
    "parameters": {"type": "object"},
    "strict": True,
}
CLOCK = {"type": "function", "name": "clock"}


def call_of(**fields):
    return parse({"input": "hi", **fields}, json.dumps(fields).encode())


def prompt_of(**fields):
    return call_of(**fields).prompt


def turns_of(*items, **fields):
    return prompt_of(input=list(items), **fields).messages


def user(*parts):
    return {"type": "message", "role": "user", "content": list(parts)}


def test_the_envelope_is_read_at_the_door():
    call = call_of(model="assistant", stream=True, max_output_tokens=50)
    assert (call.model, call.stream, call.max_tokens, call.dialect) == ("assistant", True, 50, "openai-responses")
    assert not call_of().stream


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"text": {"format": True}}, "text.format"),
        ({"text": {"verbosity": 3}}, "text.verbosity"),
        ({"reasoning": {"effort": {}}}, "reasoning.effort"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "hi"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["hi"]}]}, "input[0].content[0]"),
        ({"input": [user({"type": "input_text", "text": 5})]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "item_reference"}]}, "input[0].id"),
        ({"model": 5}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"instructions": ["x"]}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"tools": [5]}, "tools"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"include": [5]}, "include"),
        ({"store": 1}, "store"),
        ({"metadata": []}, "metadata"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"text": "json"}, "text"),
        ({"reasoning": "high"}, "reasoning"),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields, field):
    with pytest.raises(InvalidField) as caught:
        call_of(**fields)
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize("fields", [{"background": True}, {"conversation": "conv_1"}, {"conversation": {"id": "c"}}])
def test_what_is_not_offered_is_refused_in_so_many_words(fields):
    with pytest.raises(Unsupported) as caught:
        call_of(**fields)
    assert caught.value.field in fields
    assert call_of(background=False, conversation=None)


def test_a_request_may_have_no_input_of_its_own_after_a_response():
    assert parse({"previous_response_id": "resp_1"}, b"").prompt.messages == ()
    assert parse({"prompt": {"id": "pmpt_1"}}, b"")


def test_unknown_fields_are_never_refused_and_stay():
    assert prompt_of(brand_new={"x": 1}, metadata={"k": "v"}).extra == {"brand_new": {"x": 1}, "metadata": {"k": "v"}}


def test_a_text_is_the_users_and_instructions_come_first():
    assert prompt_of(instructions="Be brief.").messages == (
        Message("system", (TextPart("Be brief."),)),
        Message("user", (TextPart("hi"),)),
    )


def test_messages_may_be_written_the_easy_way():
    assert turns_of(
        {"role": "developer", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ) == (
        Message("system", (TextPart("a"),)),
        Message("system", (TextPart("b"),)),
        Message("user", (TextPart("c"),)),
        Message("assistant", (TextPart("d"),)),
    )


def test_images_and_files_are_read_in_every_form():
    png = "data:image/png;base64,AAAA"
    (turn,) = turns_of(
        user(
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": png, "detail": "low"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            {"type": "input_image", "image_url": None, "file_id": "file_1"},
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"},
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            {"type": "input_file", "file_id": "file_2"},
        )
    )
    assert turn.parts == (
        TextPart("look"),
        MediaPart("image", mime="image/png", data="AAAA", extra={"detail": "low"}),
        MediaPart("image", url="https://example.com/a.png"),
        MediaPart("image", file_id="file_1"),
        MediaPart("audio", mime="audio/mp3", data="BBBB"),
        MediaPart("file", mime="application/pdf", data="CCCC", name="a.pdf"),
        MediaPart("file", url="https://example.com/a.pdf"),
        MediaPart("file", file_id="file_2"),
    )


def test_a_part_without_a_meaning_is_refused_where_it_stands():
    with pytest.raises(InvalidField, match=r"input\[0\]\.content\[0\]"):
        turns_of(user({"type": "hologram"}))


def test_neighbouring_items_of_the_assistant_are_one_turn():
    call = {"type": "function_call", "name": "weather", "arguments": '{"city":"Paris"}'}
    result = {"type": "function_call_output", "output": "18"}
    assert turns_of(
        {"role": "user", "content": "Weather?"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
        {**call, "call_id": "a"},
        {**call, "call_id": "b"},
        {**result, "call_id": "a"},
        {**result, "call_id": "b", "output": [{"type": "input_text", "text": "19"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ) == (
        Message("user", (TextPart("Weather?"),)),
        Message(
            "assistant",
            (
                ThinkingPart("Hm."),
                TextPart("Wait."),
                CallPart("a", "weather", '{"city":"Paris"}'),
                CallPart("b", "weather", '{"city":"Paris"}'),
            ),
        ),
        Message("tool", (ResultPart("a", (TextPart("18"),)),)),
        Message("tool", (ResultPart("b", (TextPart("19"),)),)),
        Message("assistant", (RefusalPart("No."),)),
    )


def test_only_thoughts_that_were_sealed_here_keep_their_seal():
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    (turn,) = turns_of(
        {"type": "reasoning", "id": "rs_abc", "summary": summary, "encrypted_content": "vendor's"},
        {"type": "reasoning", "id": "rs_hgabc_0", "summary": summary, "encrypted_content": "signed"},
        {"type": "reasoning", "id": "rs_hgabc_1", "summary": [], "encrypted_content": "redacted:opaque"},
    )
    assert turn.parts == (
        ThinkingPart("a\n\nb"),
        ThinkingPart("a\n\nb", signature="signed"),
        ThinkingPart(redacted="opaque"),
    )


@pytest.mark.parametrize("kind", ["web_search_call", "computer_call_output", "mcp_call"])
def test_items_of_openais_own_tools_mean_nothing_elsewhere(kind):
    call = call_of(input=[{"type": kind, "id": "x"}])
    with pytest.raises(Unsupported, match=kind):
        _ = call.prompt


def test_a_reference_that_nobody_resolved_is_refused():
    for item in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        call = call_of(input=[item])
        with pytest.raises(InvalidField, match="msg_1"):
            _ = call.prompt


def test_a_stored_prompt_of_openais_means_nothing_elsewhere():
    with pytest.raises(Unsupported) as caught:
        prompt_of(prompt={"id": "pmpt_1"})
    assert caught.value.field == "prompt"


def test_parameters_have_their_meaning():
    prompt = prompt_of(
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        top_logprobs=3,
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low"},
        safety_identifier="u1",
        truncation="auto",
    )
    assert (prompt.max_tokens, prompt.temperature, prompt.top_p, prompt.parallel_tools) == (9, 0.5, 0.9, False)
    assert (prompt.logprobs, prompt.top_logprobs, prompt.user) == (True, 3, "u1")
    assert prompt.reasoning == Reasoning("low", show=True)
    assert prompt.extra == {"verbosity": "low", "safety_identifier": "u1", "truncation": "auto"}


def test_logprobs_are_asked_for_by_what_to_include():
    assert prompt_of(include=["message.output_text.logprobs"]).logprobs is True
    assert prompt_of(include=[], top_logprobs=0).logprobs is None


def test_tools_are_functions_or_a_vendors_own():
    prompt = prompt_of(tools=[WEATHER, {"type": "web_search"}])
    assert prompt.tools == (
        Tool("weather", "now", {"type": "object"}, strict=True),
        Tool("", extra={"type": "web_search"}),
    )
    with pytest.raises(InvalidField, match=r"tools\[0\]"):
        prompt_of(tools=[{"type": "function"}])


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "clock"}, ToolChoice("named", "clock")),
        (None, None),
    ],
)
def test_a_tool_choice_has_its_meaning(choice, meant):
    assert prompt_of(tools=[CLOCK], tool_choice=choice).tool_choice == meant


def test_allowed_tools_are_the_only_ones_left():
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "clock"}]}
    prompt = prompt_of(tools=[WEATHER, CLOCK], tool_choice=allowed)
    assert prompt.tool_choice == ToolChoice("required")
    assert [tool.name for tool in prompt.tools] == ["clock"]


def test_a_choice_of_openais_own_tool_means_nothing_elsewhere():
    with pytest.raises(Unsupported, match="web_search"):
        prompt_of(tool_choice={"type": "web_search"})
    for nonsense in ("sometimes", {"type": "function"}, {"name": "clock"}):
        with pytest.raises(InvalidField):
            prompt_of(tool_choice=nonsense)


def test_the_form_of_the_answer_has_its_meaning():
    schema = {"type": "json_schema", "name": "p", "schema": {"type": "object"}, "strict": True, "description": "d"}
    assert prompt_of(text={"format": schema}).format == Format("schema", {"type": "object"}, "p", "d", strict=True)
    assert prompt_of(text={"format": {"type": "json_object"}}).format == Format("json")
    assert prompt_of(text={"format": {"type": "text"}}).format is None
    assert prompt_of(text={}).format is None
    for nonsense in ({"type": "yaml"}, {"type": "json_schema"}):
        with pytest.raises(InvalidField, match=r"text\.format"):
            prompt_of(text={"format": nonsense})


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search"}]},
        {"input": [user({"type": "input_image", "file_id": "file_1"})]},
        {"input": [user({"type": "input_file", "file_url": "https://example.com/a.pdf"})]},
    ],
)
def test_what_chat_completions_cannot_carry_is_unsupported_there(fields):
    prompt = prompt_of(**fields)
    with pytest.raises(Unsupported):
        openai_chat_writer.request(prompt, "m", stream=False)
