"""The Responses API, the asking side: bodies for upstreams, translated or forwarded."""

import json

import pytest

from headgate.core.call import Clocks, Prompt, System
from headgate.core.faults import Forbidden, Unsupported
from headgate.dialects import openai_chat, openai_responses
from headgate.dialects.openai_responses_request import forward, request

PNG = "data:image/png;base64,AAAA"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def call_of(**fields):
    fields = {"model": "assistant", "input": "hi", **fields}
    return openai_responses.parse(fields, json.dumps(fields).encode())


def aimed(call, system=None):
    return call.aimed("gpt-5", system, Clocks())


def chat(messages, **fields):
    return openai_chat.parse({"messages": messages, **fields}, b"").prompt


def test_a_body_means_the_same_after_it_was_made_again():
    fields = {
        "instructions": "Be brief.",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "sealed"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
            {"type": "function_call", "call_id": "a", "name": "weather", "arguments": '{"city":"Paris"}'},
            {"type": "function_call_output", "call_id": "a", "output": "18"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": PNG, "detail": "low"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"},
                ],
            },
        ],
        "tools": [{"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA, "strict": True}],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u",
    }
    meant = json.loads(json.dumps(fields))
    meant["input"][1]["id"] = "rs_hg1"  # only what was sealed here is sent on
    body = request(call_of(**meant).prompt, "gpt-5", stream=True)
    assert body == {**fields, "model": "gpt-5", "stream": True, "store": False}


def test_a_chat_becomes_items():
    tool_call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    prompt = chat(
        [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "t", "reasoning_content": "unsigned", "tool_calls": [tool_call]},
            {"role": "tool", "tool_call_id": "a", "content": "18"},
        ],
        logprobs=True,
        top_logprobs=2,
        tools=[{"type": "function", "function": {"name": "weather"}}],
        response_format={"type": "json_object"},
    )
    assert request(prompt, "m", stream=False) == {
        "model": "m",
        "instructions": "s",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "u"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t"}]},
            {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "18"},
        ],
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": None,
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            }
        ],
        "text": {"format": {"type": "json_object"}},
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "store": False,
    }


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"n": 2}, "n"), ({"stop": "x"}, "stop"), ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools")],
)
def test_what_the_api_has_no_word_for_is_unsupported(fields, field):
    with pytest.raises(Unsupported) as caught:
        request(chat([{"role": "user", "content": "u"}], **fields), "m", stream=False)
    assert caught.value.field == field


def test_sound_is_unsupported():
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    with pytest.raises(Unsupported, match="audio"):
        request(chat([{"role": "user", "content": [audio]}]), "m", stream=False)


def test_a_prompt_without_wishes_makes_a_body_without_fields():
    assert request(Prompt(messages=()), "m", stream=False) == {"model": "m", "input": [], "store": False}


def test_a_forwarded_body_keeps_its_bytes_but_for_the_model():
    call = call_of(brand_new=1.0, input="h\u00ef")
    call.body = b'{ "model" : "assistant", "input":"h\xc3\xaf", "brand_new": 1.0 }'
    assert forward(aimed(call)) == b'{ "model" : "gpt-5", "input":"h\xc3\xaf", "brand_new": 1.0 }'


def test_a_model_named_in_disguise_is_replaced_nevertheless():
    call = call_of()
    body = b'{"mod\\u0065l": "assistant", "input": "hi", "metadata": {"model": "assistant"}}'
    call.rewrite(json.loads(body), body)
    assert json.loads(forward(aimed(call)))["model"] == "gpt-5"


def test_an_upstream_is_never_asked_by_the_id_of_an_earlier_response():
    body = json.loads(forward(aimed(call_of(previous_response_id="resp_1", store=True))))
    assert body == {"model": "gpt-5", "input": "hi", "store": True}


def test_ids_of_our_own_stay_here_and_so_do_thoughts_under_them():
    body = json.loads(
        forward(
            aimed(
                call_of(
                    input=[
                        {"type": "reasoning", "id": "rs_hg1_0", "summary": [], "encrypted_content": "another vendor's"},
                        {"type": "function_call", "id": "fc_hg1_1", "call_id": "a", "name": "f", "arguments": "{}"},
                        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
                        {"type": "message", "id": "msg_2", "role": "assistant", "content": "x"},
                    ]
                )
            )
        )
    )
    assert body["input"] == [
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "message", "id": "msg_2", "role": "assistant", "content": "x"},
    ]


@pytest.mark.parametrize(
    ("policy", "own", "sent"),
    [
        ("append", None, "Ours."),
        ("append", "Theirs.", "Ours.\n\nTheirs."),
        ("replace", "Theirs.", "Theirs."),
        ("replace", None, "Ours."),
        ("forbid", None, "Ours."),
    ],
)
def test_the_operators_instructions_are_told_by_policy(policy, own, sent):
    call = aimed(call_of(instructions=own), System("Ours.", policy))
    assert json.loads(forward(call))["instructions"] == sent


@pytest.mark.parametrize(
    "fields",
    [{"instructions": "Theirs."}, {"input": [{"role": "developer", "content": "Theirs."}]}],
)
def test_forbidden_instructions_are_refused_wherever_they_stand(fields):
    with pytest.raises(Forbidden):
        forward(aimed(call_of(**fields), System("", "forbid")))


def test_under_replace_a_developers_message_counts_as_the_callers_own():
    call = aimed(call_of(input=[{"role": "developer", "content": "Theirs."}]), System("Ours.", "replace"))
    assert json.loads(forward(call)).get("instructions") is None
