"""What one does with Anthropic's SDK, and what must come of it, whoever the models are.

Each talk is given a client that does not retry and the provider whose models it talks to.
"""

from __future__ import annotations

import anthropic
import pytest
from pydantic import BaseModel

from clients._models import HELLO, NESTED, PARIS, PERSON, RED, ROME, TOKENS, WEATHER, listen

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": WEATHER, "description": "Weather of a city", "input_schema": SCHEMA}


class Person(BaseModel):
    """What is asked for as a structure."""

    name: str
    age: int
    tags: list[str]


def asked(text="Go on."):
    return [{"role": "user", "content": text}]


def ask(provider, model, **more):
    return {"model": f"{provider}/{model}", "max_tokens": 200, "messages": asked(), **more}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message):
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


async def streamed(client, **more):
    """The text as it came, and the message that the SDK makes of the events."""
    async with client.messages.stream(**more) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        return text, await stream.get_final_message()


async def a_text(client, provider):
    raw = await client.messages.with_raw_response.create(**ask(provider, "hello", system="Be brief."))
    assert raw.headers["x-request-id"]
    said = await raw.parse()
    assert (said.type, said.role, text_of(said), said.stop_reason) == ("message", "assistant", HELLO, "end_turn")
    assert (said.usage.input_tokens, said.usage.output_tokens) == TOKENS


async def a_streamed_text(client, provider):
    text, said = await streamed(client, **ask(provider, "hello"))
    assert (text, text_of(said), said.stop_reason) == (HELLO, HELLO, "end_turn")
    assert (said.usage.input_tokens, said.usage.output_tokens) == TOKENS
    kinds = [event.type async for event in await client.messages.create(stream=True, **ask(provider, "hello"))]
    kinds = [kind for kind in kinds if kind != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


async def a_tools_round_trip(client, provider):
    wanted = ask(provider, "weather", tools=[TOOL])
    said = await client.messages.create(**wanted)
    assert (said.stop_reason, calls_of(said)) == ("tool_use", [(WEATHER, PARIS)])
    [call] = [block for block in said.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "18"}]}
    made = [block.model_dump(exclude_none=True) for block in said.content]
    wanted["messages"] = [*asked(), {"role": "assistant", "content": made}, {"role": "user", "content": [result]}]
    said = await client.messages.create(**wanted)
    assert (text_of(said), said.stop_reason) == ("It is 18 degrees in Paris.", "end_turn")


async def parallel_tools_streamed(client, provider):
    wanted = ask(provider, "two", tools=[TOOL], tool_choice={"type": "auto"})
    pieces = 0
    async with client.messages.stream(**wanted) as stream:
        async for event in stream:
            pieces += event.type == "input_json"
        said = await stream.get_final_message()
    assert (calls_of(said), said.stop_reason) == ([(WEATHER, NESTED), (WEATHER, ROME)], "tool_use")
    assert pieces >= 2
    ids = [block.id for block in said.content if block.type == "tool_use"]
    assert len(set(ids)) == 2
    made = [block.model_dump(include={"type", "id", "name", "input"}) for block in said.content]
    results = [{"type": "tool_result", "tool_use_id": id_, "content": "18"} for id_ in ids]
    wanted["messages"] = [*asked(), {"role": "assistant", "content": made}, {"role": "user", "content": results}]
    assert (await streamed(client, **wanted))[0] == "Paris 18, Rome 24."


async def words_before_a_tool(client, provider):
    said = await client.messages.create(**ask(provider, "looks", tools=[TOOL]))
    assert [block.type for block in said.content] == ["text", "tool_use"]
    assert (said.content[0].text, said.content[1].input) == ("Let me look.", ROME)


async def a_structure(client, provider):
    said = await client.messages.parse(output_format=Person, **ask(provider, "person"))
    assert said.parsed_output == Person.model_validate_json(PERSON)


async def a_picture(client, provider):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": RED}}
    turn = {"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}
    said = await client.messages.create(**ask(provider, "eyes", messages=[turn]))
    assert text_of(said) == "I see a small red square."


async def thoughts_apart_from_words(client, provider):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    wanted = ask(provider, "thinker", max_tokens=2048, thinking=thinking)
    for said in (await client.messages.create(**wanted), (await streamed(client, **wanted))[1]):
        assert [block.type for block in said.content] == ["thinking", "text"]
        assert (said.content[0].thinking, text_of(said)) == ("Let me think.", "The answer is 42.")


async def other_ends(client, provider):
    for model, reason in (("short", "max_tokens"), ("prude", "refusal")):
        assert (await client.messages.create(**ask(provider, model))).stop_reason == reason
        assert (await streamed(client, **ask(provider, model)))[1].stop_reason == reason


async def the_settings_that_clients_send(client, provider):
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    more = {"stop_sequences": ["zzz"], "metadata": {"user_id": "u"}, "extra_body": {"temperature": 0.2, "top_p": 0.9}}
    for choice in (
        {"type": "auto"},
        {"type": "any"},
        {"type": "tool", "name": WEATHER},
        {"type": "none"},
    ):
        said = await client.messages.create(
            **ask(provider, "hello", system=system, tools=[TOOL], tool_choice=choice, **more)
        )
        assert text_of(said) == HELLO


async def one_tool_at_a_time(client, provider):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    said = await client.messages.create(**ask(provider, "weather", tools=[TOOL], tool_choice=choice))
    assert calls_of(said) == [(WEATHER, PARIS)]


REFUSALS = {
    "bad": (anthropic.BadRequestError, 400, "invalid_request_error"),
    "locked": (anthropic.InternalServerError, 502, "api_error"),
    "missing": (anthropic.NotFoundError, 404, "not_found_error"),
    "busy": (anthropic.RateLimitError, 429, "rate_limit_error"),
    "down": (anthropic.InternalServerError, 502, "api_error"),
    "overloaded": (anthropic.InternalServerError, 503, "overloaded_error"),
}


async def refusals(client, provider):
    for at, (model, (kind, status, type_)) in enumerate(REFUSALS.items()):
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(stream=bool(at % 2), **ask(provider, model))
        assert isinstance(caught.value, kind) or status == 503, caught.value
        assert caught.value.status_code == status
        body = caught.value.body
        assert (body["type"], body["error"]["type"]) == ("error", type_)
        assert body["error"]["message"]
        if status in (429, 503):
            assert int(caught.value.response.headers["retry-after"]) >= 1


async def wrong_keys_and_models(client, provider):
    with pytest.raises(anthropic.AuthenticationError) as caught:
        await client.with_options(api_key="sk-wrong").messages.create(**ask(provider, "hello"))
    assert caught.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(**ask("no-such-provider", "hello"))


async def a_stream_that_breaks(client, provider):
    for model in ("resets", "stops", "fails"):
        heard = []
        stream = await client.messages.create(stream=True, **ask(provider, model))
        with pytest.raises(anthropic.APIError) as caught:
            await listen(stream, heard)
        assert caught.value.message
        assert "content_block_delta" in {event.type for event in heard}
        assert not {"message_delta", "message_stop"} & {event.type for event in heard}


async def counting(client, provider):
    few = (await client.messages.count_tokens(model=f"{provider}/hello", messages=asked())).input_tokens
    many = await client.messages.count_tokens(
        model=f"{provider}/hello", messages=asked("A longer text. " * 50), tools=[TOOL], system="Be brief."
    )
    assert 0 < few < many.input_tokens


TALKS = (
    a_text,
    a_streamed_text,
    a_tools_round_trip,
    parallel_tools_streamed,
    words_before_a_tool,
    a_structure,
    a_picture,
    thoughts_apart_from_words,
    other_ends,
    the_settings_that_clients_send,
    one_tool_at_a_time,
    refusals,
    wrong_keys_and_models,
    a_stream_that_breaks,
    counting,
)

CANNOT = ((one_tool_at_a_time, "gemini"),)
"""What a vendor's models cannot do: it is refused, by name."""


def cases(kinds):
    """Every talk with every kind of model that can have it."""
    return [(talk, kind) for talk in TALKS for kind in kinds if (talk, kind) not in CANNOT]
