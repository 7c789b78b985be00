"""Between a caller and a vendor of one dialect nothing is lost, known here or not, on the way there and back."""

import json

import pytest
from msgspec import structs

from contracts._suite import asked_on, callers, connected, heard, own, written
from headgate.core.call import System
from headgate.surfaces.anthropic import MESSAGES

pytestmark = pytest.mark.anyio

VENDORS, CALLERS = own(), callers()
OPERATOR = System("Be kind.")

# What nobody models: fields of these APIs, and some that are not invented yet.
CHAT = {
    "messages": [
        {"role": "developer", "content": "Be brief.", "later": 1},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
                {"type": "video", "v": 1},
            ],
            "name": "ann",
        },
        {"role": "assistant", "content": "Hello", "audio": {"id": "audio_1"}, "reasoning_details": [{"type": "x"}]},
        {"role": "user", "content": "Go on"},
    ],
    "service_tier": "flex",
    "store": True,
    "metadata": {"team": "blue"},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "mp3"},
    "prediction": {"type": "content", "content": "x"},
    "web_search_options": {},
    "tools": [{"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}],
    "verbosity": "low",
    "not_invented_yet": {"deep": [1, 2.5, None]},
}
MESSAGE = {
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "b3A="},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                {"type": "text", "text": "It rains.", "citations": [{"type": "char_location", "cited_text": "rain"}]},
            ],
        },
        {"role": "user", "content": [{"type": "later", "value": 1}, {"type": "text", "text": "Go on"}]},
    ],
    "service_tier": "standard_only",
    "container": "c1",
    "mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "m"}],
    "context_management": {"edits": []},
    "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
    "thinking": {"type": "adaptive", "display": "omitted"},
    "not_invented_yet": {"deep": [1, 2.5, None]},
}
RESPONSE = {
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi", "later": 1}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ZW5j"},
        {"type": "computer_call", "id": "cu_1", "call_id": "c", "action": {"type": "screenshot"}},
    ],
    "tools": [{"type": "web_search"}, {"type": "mcp", "server_label": "m", "server_url": "https://mcp.example"}],
    "include": ["reasoning.encrypted_content"],
    "service_tier": "flex",
    "truncation": "auto",
    "not_invented_yet": {"deep": [1, 2.5, None]},
}
WAYS = {"openai": ("openai", CHAT), "anthropic": ("anthropic", MESSAGE), "responses": ("openai", RESPONSE)}


async def asked(surface, system=None, *, stream=False, **changes):
    """What the vendor reads of this surface's question."""
    name, question = WAYS[surface]
    vendor = VENDORS[name]
    provider, _ = connected(name, vendor)
    call = asked_on(CALLERS[surface], {**question, **changes}, "asked", stream=stream)
    return json.loads(provider.ask(call.aimed(vendor.model, system, call.clocks)).body)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("surface", WAYS)
async def test_a_question_reaches_the_vendor_as_it_was_asked(surface, stream):
    name, question = WAYS[surface]
    sent = await asked(surface, stream=stream)
    bounds = {"max_completion_tokens", "max_output_tokens"} & sent.keys() - question.keys()
    wanted = CALLERS[surface].body(question, stream=stream) | {"model": VENDORS[name].model}
    assert {field: value for field, value in sent.items() if field not in bounds} == wanted


@pytest.mark.parametrize("surface", WAYS)
async def test_the_operators_system_prompt_changes_nothing_else(surface):
    plain, told = await asked(surface), await asked(surface, OPERATOR)
    place = {"openai": "messages", "anthropic": "system", "responses": "instructions"}[surface]
    assert "Be kind." in json.dumps(told.pop(place))
    plain.pop(place, None)
    assert told == plain
    if surface == "anthropic":
        assert (await asked(surface, OPERATOR))["system"][1:] == MESSAGE["system"]
    if surface == "openai":
        assert (await asked(surface, OPERATOR))["messages"][1:] == CHAT["messages"]


async def test_anthropics_versions_and_betas_travel_with_a_question():
    vendor = VENDORS["anthropic"]
    provider, _ = connected("anthropic", vendor)
    call = asked_on(CALLERS["anthropic"], MESSAGE, vendor.model, stream=False)
    told = {"anthropic-version": "2023-06-01", "anthropic-beta": "later-2030", "cookie": "c", "x-api-key": "caller's"}
    sent = dict(provider.ask(structs.replace(call, headers=MESSAGES.forwarded(told))).headers)
    assert sent["anthropic-beta"] == "later-2030"
    assert sent["x-api-key"] == "secret"
    assert "cookie" not in sent


_LATER = {"not_invented_yet": {"deep": [1, 2.5, None]}}
_SPOKEN = {"id": "audio_1", "data": "bXAz", "transcript": "Hi", "expires_at": 1}
_STEP = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "service_tier": "flex",
    "system_fingerprint": "fp_1",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "audio": _SPOKEN,
                "annotations": [],
                **_LATER,
            },
            "logprobs": {"content": [_STEP], "refusal": [_STEP]},
            "finish_reason": "stop",
            "content_filter_results": {"hate": {"filtered": False}},
        }
    ],
    "usage": {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"audio_tokens": 1},
    },
    **_LATER,
}
MESSAGE_ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3A="},
        {"type": "later", **_LATER},
        {"type": "text", "text": "It rains.", "citations": [{"type": "char_location", "cited_text": "rain"}]},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "container": {"id": "c1"},
    "usage": {
        "input_tokens": 3,
        "output_tokens": 2,
        "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 1},
    },
    **_LATER,
}
RESPONSE_ANSWER = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "error": None,
    "service_tier": "flex",
    "output": [
        {"id": "ws_1", "type": "web_search_call", "status": "completed"},
        {
            "id": "m_1",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "It rains."}],
        },
    ],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    **_LATER,
}
ANSWERS = {"openai": CHAT_ANSWER, "anthropic": MESSAGE_ANSWER, "responses": RESPONSE_ANSWER}


@pytest.mark.parametrize("surface", WAYS)
async def test_a_whole_answer_reaches_the_caller_byte_for_byte(surface):
    name, question = WAYS[surface]
    body = json.dumps(ANSWERS[surface], indent=1).encode()
    provider, _ = connected(name, VENDORS[name], body)
    call = asked_on(CALLERS[surface], question, "m", stream=False)
    assert written(CALLERS[surface], call, await heard(provider, call)) == body


def frames(data):
    """The objects of a stream's frames, those of the end mark left out."""
    lines = [line.removeprefix("data: ") for line in data.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def sse(*values):
    """The objects as a stream."""
    return b"".join(
        (f"event: {value['type']}\n" if "type" in value else "").encode()
        + b"data: "
        + json.dumps(value).encode()
        + b"\n\n"
        for value in values
    )


async def streamed(surface, body):
    """The frames that reach the caller of this surface."""
    name, question = WAYS[surface]
    provider, _ = connected(name, VENDORS[name], body)
    call = asked_on(CALLERS[surface], question, "m", stream=True)
    return frames(written(CALLERS[surface], call, await heard(provider, call)))


async def test_the_chunks_of_a_stream_keep_what_nobody_models():
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "service_tier": "flex", **_LATER}
    said = {"role": "assistant", "content": "", "refusal": None, "audio": {"id": "a", "data": "bXAz"}, **_LATER}
    more = {"content_filter_results": {}, "logprobs": {"content": [_STEP]}}
    chunks = [
        {**head, "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        {**head, "choices": [{"index": 0, "delta": said, "finish_reason": None, **more}], "obfuscation": "x"},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "later": 1}]},
    ]
    used = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "later": {"tokens": 1}}
    heard_ = await streamed("openai", sse(*chunks, {**head, "choices": [], "usage": used}) + b"data: [DONE]\n\n")
    assert heard_[:-1] == chunks
    assert heard_[-1]["usage"].items() >= used.items()


async def test_the_events_of_a_stream_of_messages_keep_what_nobody_models():
    start = {**MESSAGE_ANSWER, "content": [], "stop_reason": None}
    signed = {"type": "signature_delta", "signature": "c2ln"}
    later = {"type": "content_block_start", "index": 1, "content_block": {"type": "later", **_LATER}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", **_LATER}},
        {"type": "content_block_delta", "index": 0, "delta": signed},
        {"type": "content_block_stop", "index": 0},
        later,
        {"type": "content_block_stop", "index": 1},
        {"type": "later_event", **_LATER},
    ]
    used = {"output_tokens": 2, "later": 1}
    delta = {"stop_reason": "end_turn", "stop_sequence": None, "container": {"id": "c1"}, **_LATER}
    end = {"type": "message_delta", "delta": delta, "usage": used, "context_management": {"applied_edits": []}}
    *passed, last, stop = await streamed("anthropic", sse(*events, end, {"type": "message_stop"}))
    assert passed == events
    assert last["usage"].items() >= used.items()
    assert {name: value for name, value in last.items() if name != "usage"} == {
        name: value for name, value in end.items() if name != "usage"
    }
    assert stop == {"type": "message_stop"}


async def test_the_events_of_a_response_keep_what_nobody_models():
    events = [
        {"type": "response.created", "sequence_number": 0, "response": {**RESPONSE_ANSWER, "output": []}, **_LATER},
        {"type": "response.later", "sequence_number": 1, **_LATER},
    ]
    end = {"type": "response.completed", "sequence_number": 2, "response": RESPONSE_ANSWER, **_LATER}
    *passed, last = await streamed("responses", sse(*events, end))
    assert passed == events
    assert last["response"].pop("usage").items() >= RESPONSE_ANSWER["usage"].items()
    kept = {**RESPONSE_ANSWER}
    kept.pop("usage")
    assert last == {**end, "response": kept}
