"""What callers ask in Anthropic's words, and the same asked of Anthropic."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from headgate.core.call import (
    Call,
    CallPart,
    Format,
    MediaPart,
    Message,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
    ToolChoice,
)
from headgate.core.faults import Fault, InvalidField, Unsupported
from headgate.dialects.anthropic_messages import forwarded, parse, parse_count, understand
from headgate.dialects.anthropic_messages_request import arguments, count_request, request, version

OLD = "claude-sonnet-4-5-20250929"
NEW = "claude-sonnet-5-5"
HELLO = {"model": "assistant", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
USER = Message("user", (TextPart("Hi"),))


def asked(prompt, model=OLD, **options):
    return request(prompt, model, stream=False, **options)


def content(*blocks):
    return {**HELLO, "messages": [{"role": "user", "content": list(blocks)}]}


def test_a_request_becomes_a_call():
    fields = {**HELLO, "stream": True}
    assert parse(fields, b"body") == Call(
        model="assistant",
        understand=understand,
        dialect="anthropic-messages",
        stream=True,
        _fields=fields,
        body=b"body",
        max_tokens=100,
        usage_wanted=True,
    )


def test_a_count_needs_no_bound():
    assert parse_count({"model": "assistant", "messages": HELLO["messages"]}, b"").max_tokens is None


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": 5}, "model"),
        ({"model": ["x"]}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["Hi"]}, "messages.0"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages.0.content.0"),
        (content({"type": 5}), "messages.0.content.0"),
        (content(IMAGE, {"type": "text"}), "messages.0.content.1.text"),
        (content({"type": "image", "source": "x"}), "messages.0.content.0.source"),
        (content({"type": "image", "source": {"type": "url"}}), "messages.0.content.0.source.url"),
        (content({"type": "document", "source": {"type": ["url"]}}), "messages.0.content.0.source.type"),
        (content({"type": "tool_use", "id": "a", "name": "b", "input": "{}"}), "messages.0.content.0.input"),
        (content({"type": "tool_result", "content": "x"}), "messages.0.content.0.tool_use_id"),
        (content({"type": "tool_result", "tool_use_id": "a", "content": 5}), "messages.0.content.0.content"),
        (
            content({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text"}]}),
            "messages.0.content.0.content.0.text",
        ),
        (content({"type": "thinking", "thinking": "hm"}), "messages.0.content.0.signature"),
        ({"system": 5}, "system"),
        ({"system": [IMAGE]}, "system.0.type"),
        ({"temperature": 1.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"stream": "yes"}, "stream"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"tools": [{"name": "paint"}]}, "tools.0.input_schema"),
        ({"tools": [{"name": "paint", "input_schema": {}, "strict": 1}]}, "tools.0.strict"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": ["auto"]}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"budget_tokens": 1}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": "1"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": 5}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(change, field):
    with pytest.raises(InvalidField) as caught:
        parse({**HELLO, **change}, b"")
    assert caught.value.field == field
    assert caught.value.message.startswith(field)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "source", "name", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
NAMES = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "metadata",
    "stop_sequences",
]
KINDS = ["text", "image", "document", "tool_use", "tool_result", "search_result", "thinking", "base64", "content", "x"]
blocks = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(KINDS)},
        optional={
            "text": st.just("x"),
            "source": st.fixed_dictionaries({"type": st.sampled_from(KINDS)}, optional={"content": anything}),
            "content": anything,
            "tool_use_id": st.just("a"),
        },
    ),
    max_size=3,
)


@given(st.dictionaries(st.sampled_from(NAMES), anything, max_size=3), blocks)
@settings(deadline=None, max_examples=200)
def test_nonsense_is_a_fault_and_never_a_crash(change, said):
    fields = {**HELLO, "messages": [{"role": "user", "content": said}], **change}
    try:
        asked(parse(fields, b"").prompt, native=True)
    except Fault as fault:
        assert fault.message  # noqa: PT017 - any fault will do, another exception will not


def test_only_the_headers_of_the_dialect_go_on():
    headers = {"authorization": "Bearer x", "anthropic-beta": "b-1", "anthropic-version": "2023-06-01", "cookie": "c"}
    assert forwarded(headers) == {"anthropic-version": "2023-06-01", "anthropic-beta": "b-1"}


def test_everything_that_the_dialect_says_is_understood():
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}}
    marked = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    fields = {
        **HELLO,
        "system": [marked],
        "messages": [
            {"role": "user", "content": [IMAGE, {"type": "text", "text": "Paint it."}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "b3BhcXVl"},
                    {"type": "tool_use", "id": "toolu_1", "name": "paint", "input": {"colour": "red"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "wet", "is_error": True},
                    {"type": "text", "text": "And now?"},
                ],
            },
        ],
        "tools": [{"name": "paint", "description": "Paints.", "input_schema": schema, "strict": True}],
        "tool_choice": {"type": "tool", "name": "paint", "disable_parallel_tool_use": True},
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "service_tier": "auto",
        "container": None,
    }
    assert parse(fields, b"").prompt == Prompt(
        messages=(
            Message("system", (TextPart("Be brief.", {"cache_control": {"type": "ephemeral"}}),)),
            Message("user", (MediaPart("image", mime="image/png", data="aGk="), TextPart("Paint it."))),
            Message(
                "assistant",
                (
                    ThinkingPart("Hm.", "c2ln"),
                    ThinkingPart(redacted="b3BhcXVl"),
                    CallPart("toolu_1", "paint", '{"colour":"red"}'),
                ),
            ),
            Message("tool", (ResultPart("toolu_1", (TextPart("wet"),), failed=True),)),
            Message("user", (TextPart("And now?"),)),
        ),
        tools=(Tool("paint", "Paints.", schema, strict=True),),
        tool_choice=ToolChoice("named", "paint"),
        parallel_tools=False,
        format=Format("schema", schema),
        max_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("END",),
        reasoning=Reasoning(budget=2048),
        user="u-1",
        extra={"service_tier": "auto"},
    )


def test_what_only_anthropic_knows_comes_through_unchanged():
    fields = {
        "model": OLD,
        "max_tokens": 4096,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "w"}]},
                    {"type": "document", "source": {"type": "content", "content": "words"}, "title": "T"},
                    {"type": "image", "source": {"type": "file", "file_id": "f-1"}, "cache_control": {"ttl": "1h"}},
                    {"type": "container_upload", "file_id": "f-2"},
                ],
            },
            {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "web_search"}]},
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "tool_reference", "tool_name": "paint"}],
                    }
                ],
            },
        ],
        "tools": [
            {"type": "web_search_20250305", "name": "web_search"},
            {"name": "paint", "input_schema": {"type": "object"}, "defer_loading": True},
        ],
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "low", "task_budget": {"total": 5}},
        "metadata": {"user_id": "u-1", "more": 1},
        "mcp_servers": [{"name": "m"}],
        "context_management": {"edits": []},
    }
    assert asked(parse(fields, b"").prompt, native=True) == fields


def test_a_block_of_anthropics_own_still_tells_others_its_words():
    found = {
        "type": "search_result",
        "content": [{"type": "text", "text": "grass "}, {"type": "text", "text": "grows"}],
    }
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "grün"}, "title": "T"}
    one, two = parse(content(found, plain), b"").prompt.messages[0].parts
    assert one.text == "grass grows"
    assert (two.kind, two.mime, two.name) == ("file", "text/plain", "T")
    assert base64.b64decode(two.data).decode() == "grün"


# A prompt in the canonical form of this dialect: one tool result a turn, no empty words, objects as arguments.
words = st.text(min_size=1, max_size=12)
objects = st.dictionaries(words, st.integers() | words | st.booleans(), max_size=3)
compact = objects.map(lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False))
ids = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
base64s = st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode())
text_parts = st.builds(TextPart, words)
images = st.builds(MediaPart, st.just("image"), st.sampled_from(["image/png", "image/jpeg"]), base64s)
links = st.builds(lambda url: MediaPart("image", url=f"https://example.org/{url}"), ids)
files = st.builds(lambda data, name: MediaPart("file", "application/pdf", data, name=name), base64s, words)
thoughts = st.builds(ThinkingPart, words, words) | st.builds(lambda data: ThinkingPart(redacted=data), words)
calls = st.builds(CallPart, ids, words, compact)
results = st.builds(ResultPart, ids, st.lists(text_parts | images, max_size=2).map(tuple), st.just(""), st.booleans())
turns = st.one_of(
    st.builds(Message, st.just("user"), st.lists(text_parts | images | links | files, min_size=1).map(tuple)),
    st.builds(Message, st.just("assistant"), st.lists(thoughts | text_parts | calls, min_size=1).map(tuple)),
    st.builds(Message, st.just("tool"), st.tuples(results)),
)
systems = st.lists(st.builds(lambda text: Message("system", (TextPart(text),)), words), max_size=2)
schemas = objects.map(lambda value: {"type": "object", "properties": value})
tools = st.builds(Tool, words, st.text(max_size=9), schemas, st.none() | st.booleans())
choices = st.sampled_from(["auto", "none", "required"]).map(ToolChoice) | st.builds(ToolChoice, st.just("named"), words)
share = st.none() | st.floats(0, 1)


@st.composite
def prompts(draw):
    said_tools = tuple(draw(st.lists(tools, max_size=2)))
    choice = draw(st.none() | choices) if said_tools else None
    one_by_one = choice is not None and choice.mode != "none" and draw(st.booleans())
    return Prompt(
        messages=(*draw(systems), *draw(st.lists(turns, min_size=1, max_size=4))),
        tools=said_tools,
        tool_choice=choice,
        parallel_tools=False if one_by_one else None,
        format=draw(st.none() | st.builds(Format, st.just("schema"), schemas)),
        max_tokens=draw(st.integers(1, 99999)),
        temperature=draw(share),
        top_p=draw(share),
        top_k=draw(st.none() | st.integers(0, 99)),
        stop=tuple(draw(st.lists(words, max_size=2))),
        user=draw(st.text(max_size=5)),
    )


@given(prompts(), st.booleans())
@settings(deadline=None, max_examples=150)
def test_what_both_can_say_comes_back_the_same(prompt, stream):
    body = request(prompt, OLD, stream=stream)
    call = parse(json.loads(json.dumps(body)), b"")
    assert call.prompt == prompt
    assert (call.model, call.stream) == (OLD, stream)


def test_a_budget_comes_back_the_same():
    prompt = Prompt(messages=(USER,), max_tokens=9000, reasoning=Reasoning(budget=4096))
    assert understand(asked(prompt)) == prompt


def test_tool_results_that_follow_one_another_are_one_user_turn():
    results = [Message("tool", (ResultPart(id_, (TextPart("ok"),)),)) for id_ in ("a", "b")]
    after = Message("user", (TextPart("And?"),))
    body = asked(Prompt(messages=(USER, *results, after)))
    assert [turn["role"] for turn in body["messages"]] == ["user", "user", "user"]
    assert [block["tool_use_id"] for block in body["messages"][1]["content"]] == ["a", "b"]


def test_what_says_nothing_is_left_out():
    silent = Message("assistant", (TextPart(""), ThinkingPart("unsigned")))
    body = asked(Prompt(messages=(Message("system", (TextPart(""),)), USER, silent, USER)))
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": "Hi"}] * 2


def test_system_turns_go_to_the_top_and_refusals_are_words():
    turns = (USER, Message("assistant", (RefusalPart("No."),)), Message("system", (TextPart("Be kind."),)))
    body = asked(Prompt(messages=turns))
    assert body["system"] == "Be kind."
    assert body["messages"][1] == {"role": "assistant", "content": "No."}


def test_ids_of_other_vendors_are_made_to_fit_on_both_ends():
    turns = (
        Message("assistant", (CallPart("functions.paint:0", "paint"),)),
        Message("tool", (ResultPart("functions.paint:0"),)),
    )
    call, result = asked(Prompt(messages=turns))["messages"]
    assert call["content"][0]["id"] == result["content"][0]["tool_use_id"] == "functions_paint_0"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ('{"a":1}', {"a": 1}),
        ("null", {}),
        ('"{\\"a\\":1}"', {"a": 1}),
        ("[1]", {"__raw__": "[1]"}),
        ("{oops", {"__raw__": "{oops"}),
        ('"oops"', {"__raw__": '"oops"'}),
    ],
)
def test_arguments_are_an_object(text, value):
    assert arguments(text) == value


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -0.5}, "frequency_penalty"),
        ({"seed": 0}, "seed"),
        ({"temperature": 1.5}, "temperature"),
        ({"format": Format("json")}, "JSON"),
        ({"messages": (Message("user", (MediaPart("audio", mime="audio/wav", data="aGk="),)),)}, "audio"),
        ({"messages": (Message("user", (MediaPart("file", mime="application/zip", data="aGk="),)),)}, "zip"),
        ({"messages": (Message("user", (MediaPart("file", file_id="file-1"),)),)}, "another vendor"),
        ({"tools": (Tool("", extra={"type": "web_search"}),)}, "web_search"),
        ({"reasoning": Reasoning("frantic")}, "frantic"),
    ],
)
def test_what_anthropic_cannot_do_is_unsupported_by_name(change, word):
    with pytest.raises(Unsupported, match=word):
        asked(Prompt(**{"messages": (USER,), **change}))


def test_wishes_that_change_nothing_are_not_refused():
    prompt = Prompt(messages=(USER,), n=1, logprobs=False, presence_penalty=0, frequency_penalty=0.0, top_logprobs=0)
    assert asked(prompt) == {"model": OLD, "max_tokens": 8192, "messages": [{"role": "user", "content": "Hi"}]}


def test_a_text_file_travels_as_words_and_one_that_is_none_is_refused():
    def file(data):
        return Prompt(messages=(Message("user", (MediaPart("file", mime="text/csv", data=data, name="a.csv"),)),))

    source = {"type": "text", "media_type": "text/plain", "data": "a,b"}
    assert asked(file("YSxi"))["messages"][0]["content"] == [{"type": "document", "source": source, "title": "a.csv"}]
    with pytest.raises(InvalidField):
        asked(file("oops"))


def test_extras_of_other_dialects_stay_behind_but_for_cache_marks():
    marked = TextPart("Hi", {"cache_control": {"type": "ephemeral"}, "detail": "high"})
    body = asked(Prompt(messages=(Message("user", (marked,)),), extra={"store": True}))
    assert "store" not in body
    block = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    assert body["messages"][0]["content"] == [block]


def test_parallel_calls_are_turned_off_where_there_are_tools():
    prompt = Prompt(messages=(USER,), parallel_tools=False)
    assert "tool_choice" not in asked(prompt)
    with_tools = replace(prompt, tools=(Tool("paint"),))
    assert asked(with_tools)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    never = replace(with_tools, tool_choice=ToolChoice("none"))
    assert asked(never)["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        ("claude-sonnet-4-5-20250929", (4, 5)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-3-7-sonnet-20250219", (3, 7)),
        ("claude-3-opus-20240229", (3, 0)),
        ("anthropic.claude-opus-4-6-v1", (4, 6)),
        ("claude-opus-5", (5, 0)),
        ("claude-haiku-5-5", (5, 5)),
        ("claude-mythos-preview", (0, 0)),
        ("another-model-9", (0, 0)),
    ],
)
def test_a_models_version_is_in_its_name(model, numbers):
    assert version(model) == numbers


def test_models_without_sampling_knobs_are_not_asked_to_turn_them():
    prompt = Prompt(messages=(USER,), temperature=0.0, top_p=0.5, top_k=3)
    assert {"temperature", "top_p", "top_k"} <= asked(prompt, OLD).keys()
    assert not {"temperature", "top_p", "top_k"} & asked(prompt, NEW).keys()
    assert {"temperature", "top_p", "top_k"} <= asked(prompt, NEW, native=True).keys()


@pytest.mark.parametrize(
    ("model", "wish", "max_tokens", "expected"),
    [
        (OLD, Reasoning("low"), None, {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 10240}),
        (OLD, Reasoning("high"), 8000, {"thinking": {"type": "enabled", "budget_tokens": 4000}, "max_tokens": 8000}),
        (OLD, Reasoning("high"), 1000, {"max_tokens": 1000}),
        (OLD, Reasoning("none"), 1000, {"max_tokens": 1000}),
        (OLD, Reasoning(budget=0), 1000, {"max_tokens": 1000}),
        (
            OLD,
            Reasoning(budget=3000, show=False),
            None,
            {"thinking": {"type": "enabled", "budget_tokens": 3000, "display": "omitted"}, "max_tokens": 11192},
        ),
        ("claude-opus-4-6", Reasoning("xhigh"), 9, {"thinking": {"type": "adaptive"}, "effort": "max"}),
        ("claude-opus-4-6", Reasoning("none"), 9, {}),
        (NEW, Reasoning("minimal"), 9, {"thinking": {"type": "adaptive"}, "effort": "low"}),
        (NEW, Reasoning("xhigh"), 9, {"thinking": {"type": "adaptive"}, "effort": "xhigh"}),
        (NEW, Reasoning("none"), 9, {"effort": "low"}),
        (NEW, Reasoning(budget=3000, show=True), 9, {"thinking": {"type": "adaptive", "display": "summarized"}}),
    ],
)
def test_the_wish_to_reason_is_put_as_the_model_takes_it(model, wish, max_tokens, expected):
    body = asked(Prompt(messages=(USER,), reasoning=wish, max_tokens=max_tokens), model)
    said = {"max_tokens": body["max_tokens"], **body.get("output_config", {})}
    if "thinking" in body:
        said["thinking"] = body["thinking"]
    assert said == {"max_tokens": 9, **expected}


def test_an_answer_that_continues_thoughtless_tool_calls_is_not_asked_to_think():
    def turns(*thoughts):
        spoke = Message("assistant", (*thoughts, CallPart("a", "paint")))
        return Prompt(
            messages=(USER, spoke, Message("tool", (ResultPart("a"),))), reasoning=Reasoning("low"), max_tokens=9000
        )

    assert "thinking" not in asked(turns())
    assert "thinking" not in asked(turns(ThinkingPart("unsigned")))
    assert "thinking" in asked(turns(ThinkingPart("signed", "c2ln")))
    assert "thinking" in asked(turns(), "claude-opus-4-6")


def test_an_effort_and_a_schema_share_the_output_config():
    prompt = Prompt(messages=(USER,), reasoning=Reasoning("high"), format=Format("schema", {"type": "object"}))
    form = {"type": "json_schema", "schema": {"type": "object"}}
    assert asked(prompt, NEW)["output_config"] == {"format": form, "effort": "high"}


def test_a_request_to_count_has_only_what_is_counted():
    prompt = Prompt(messages=(Message("system", (TextPart("S"),)), USER), temperature=1.0, tools=(Tool("paint"),))
    body = count_request(prompt, OLD)
    assert body.keys() == {"model", "system", "messages", "tools"}
