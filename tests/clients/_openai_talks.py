"""What one does with OpenAI's SDK, and what must come of it, whoever the models are.

Each talk is given a client that does not retry and the provider whose models it talks to.
"""

from __future__ import annotations

import json

import openai
import pytest
from pydantic import BaseModel

from clients._models import HELLO, NESTED, PARIS, PERSON, RED, ROME, TOKENS, WEATHER, listen

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "opts": {"type": "object"}},
    "required": ["city"],
}
TOOL = {"type": "function", "function": {"name": WEATHER, "description": "Weather of a city", "parameters": SCHEMA}}
FLAT = {"type": "function", "name": WEATHER, "description": "Weather", "parameters": SCHEMA, "strict": False}
TOTAL = {"include_usage": True}


class Person(BaseModel):
    """What is asked for as a structure."""

    name: str
    age: int
    tags: list[str]


ADA = Person.model_validate_json(PERSON)


def asked(text="Go on."):
    return [{"role": "user", "content": text}]


async def streamed(client, model, **more):
    """The text, the finish reasons and the last usage of a stream."""
    chunks = [chunk async for chunk in await client.chat.completions.create(model=model, stream=True, **more)]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    return text, [choice.finish_reason for choice in choices if choice.finish_reason], chunks[-1].usage


async def a_text(client, provider):
    raw = await client.chat.completions.with_raw_response.create(model=f"{provider}/hello", messages=asked())
    assert raw.headers["x-request-id"]
    said = raw.parse()
    choice = said.choices[0]
    assert (said.object, choice.message.role, choice.message.content) == ("chat.completion", "assistant", HELLO)
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    usage = said.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (*TOKENS, sum(TOKENS))


async def a_streamed_text(client, provider):
    text, finish, usage = await streamed(client, f"{provider}/hello", messages=asked(), stream_options=TOTAL)
    assert (text, finish) == (HELLO, ["stop"])
    assert (usage.prompt_tokens, usage.completion_tokens) == TOKENS
    assert await streamed(client, f"{provider}/hello", messages=asked()) == (HELLO, ["stop"], None)


async def a_tools_round_trip(client, provider):
    messages = asked("How is the weather in Paris?")
    ask = {"model": f"{provider}/weather", "tools": [TOOL], "tool_choice": "auto"}
    said = (await client.chat.completions.create(messages=messages, **ask)).choices[0]
    [call] = said.message.tool_calls
    assert (said.finish_reason, call.type, call.function.name) == ("tool_calls", "function", WEATHER)
    assert json.loads(call.function.arguments) == PARIS
    messages += [said.message, {"role": "tool", "tool_call_id": call.id, "content": "18"}]
    said = (await client.chat.completions.create(messages=messages, **ask)).choices[0]
    assert (said.message.content, said.finish_reason) == ("It is 18 degrees in Paris.", "stop")


async def parallel_tools_streamed(client, provider):
    messages = asked("How is the weather in Paris and Rome?")
    ask = {"model": f"{provider}/two", "tools": [TOOL], "parallel_tool_calls": True}
    pieces = 0
    async with client.chat.completions.stream(messages=messages, stream_options=TOTAL, **ask) as stream:
        async for event in stream:
            pieces += event.type == "tool_calls.function.arguments.delta"
        said = (await stream.get_final_completion()).choices[0]
    calls = said.message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        (WEATHER, NESTED),
        (WEATHER, ROME),
    ]
    assert pieces >= 2
    assert len({call.id for call in calls}) == 2
    assert said.finish_reason == "tool_calls"
    made = [{"id": call.id, "type": "function", "function": call.function.model_dump()} for call in calls]
    messages += [{"role": "assistant", "content": None, "tool_calls": made}]
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "18"} for call in calls]
    assert (await streamed(client, messages=messages, **ask))[:2] == ("Paris 18, Rome 24.", ["stop"])


async def words_before_a_tool(client, provider):
    said = await client.chat.completions.create(model=f"{provider}/looks", messages=asked(), tools=[TOOL])
    message = said.choices[0].message
    assert (message.content, json.loads(message.tool_calls[0].function.arguments)) == ("Let me look.", ROME)


async def a_structure(client, provider):
    ask = {"model": f"{provider}/person", "messages": asked("Describe a person.")}
    said = await client.chat.completions.parse(response_format=Person, **ask)
    assert said.choices[0].message.parsed == ADA
    async with client.chat.completions.stream(response_format=Person, **ask) as stream:
        assert (await stream.get_final_completion()).choices[0].message.parsed == ADA


async def json_without_a_schema(client, provider):
    said = await client.chat.completions.create(
        model=f"{provider}/person", messages=asked("In JSON, please."), response_format={"type": "json_object"}
    )
    assert Person.model_validate_json(said.choices[0].message.content) == ADA


async def a_picture(client, provider):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{RED}", "detail": "low"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
    said = await client.chat.completions.create(model=f"{provider}/eyes", messages=messages)
    assert said.choices[0].message.content == "I see a small red square."


async def thoughts_apart_from_words(client, provider):
    said = await client.chat.completions.create(model=f"{provider}/thinker", messages=asked())
    message = said.choices[0].message
    assert (message.content, message.reasoning_content) == ("The answer is 42.", "Let me think.")
    assert (await streamed(client, f"{provider}/thinker", messages=asked()))[0] == "The answer is 42."


async def other_ends(client, provider):
    for model, reason in (("short", "length"), ("prude", "content_filter")):
        said = await client.chat.completions.create(model=f"{provider}/{model}", messages=asked())
        assert said.choices[0].finish_reason == reason
        assert (await streamed(client, f"{provider}/{model}", messages=asked()))[1] == [reason]


async def the_settings_that_clients_send(client, provider):
    said = await client.chat.completions.create(
        model=f"{provider}/hello",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Really."}, *asked()],
        temperature=0.2,
        top_p=0.9,
        max_completion_tokens=50,
        stop=["zzz"],
        n=1,
        user="u",
        metadata={"a": "b"},
        store=False,
        tools=[TOOL],
        tool_choice="none",
    )
    assert said.choices[0].message.content == HELLO


async def hints_about_sampling(client, provider):
    hints = {"seed": 1, "presence_penalty": 0.1, "frequency_penalty": 0.1}
    said = await client.chat.completions.create(model=f"{provider}/hello", messages=asked(), **hints)
    assert said.choices[0].message.content == HELLO


async def one_tool_at_a_time(client, provider):
    said = await client.chat.completions.create(
        model=f"{provider}/weather", messages=asked(), tools=[TOOL], parallel_tool_calls=False
    )
    assert len(said.choices[0].message.tool_calls) == 1


REFUSALS = {
    "bad": (openai.BadRequestError, 400),
    "locked": (openai.InternalServerError, 502),
    "missing": (openai.NotFoundError, 404),
    "busy": (openai.RateLimitError, 429),
    "down": (openai.InternalServerError, 502),
    "overloaded": (openai.InternalServerError, 503),
}


async def refusals(client, provider):
    for at, (model, (kind, status)) in enumerate(REFUSALS.items()):
        with pytest.raises(kind) as caught:
            await client.chat.completions.create(model=f"{provider}/{model}", messages=asked(), stream=bool(at % 2))
        assert caught.value.status_code == status
        assert caught.value.body["message"]
        assert caught.value.body["type"]
        if status in (429, 503):
            assert int(caught.value.response.headers["retry-after"]) >= 1


async def wrong_keys_and_models(client, provider):
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.with_options(api_key="sk-wrong").chat.completions.create(
            model=f"{provider}/hello", messages=asked()
        )
    assert caught.value.body["code"] == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="no-such-model", messages=asked())
    assert caught.value.body["code"] == "model_not_found"


async def broken(client, model):
    """A stream that breaks raises, and nothing in it looked like a good end."""
    heard = []
    stream = await client.chat.completions.create(model=model, messages=asked(), stream=True)
    with pytest.raises(openai.APIError) as caught:
        await listen(stream, heard)
    choices = [choice for chunk in heard for choice in chunk.choices]
    assert any(choice.delta.content for choice in choices)
    assert not [choice.finish_reason for choice in choices if choice.finish_reason]
    return caught.value


async def a_stream_that_breaks(client, provider):
    for model in ("resets", "stops", "fails"):
        assert (await broken(client, f"{provider}/{model}")).message


async def a_response(client, provider):
    said = await client.responses.create(model=f"{provider}/hello", input="Hi", instructions="Be brief.")
    assert (said.object, said.status, said.output_text) == ("response", "completed", HELLO)
    assert (said.usage.input_tokens, said.usage.output_tokens) == TOKENS
    kinds, text, final = [], "", None
    async for event in await client.responses.create(model=f"{provider}/hello", input="Hi", stream=True):
        kinds.append(event.type)
        text += event.delta if event.type == "response.output_text.delta" else ""
        final = event.response if event.type == "response.completed" else final
    assert (kinds[0], text, final.output_text) == ("response.created", HELLO, HELLO)


async def tools_of_responses(client, provider):
    said = await client.responses.create(model=f"{provider}/weather", input="Paris?", tools=[FLAT])
    [call] = [item for item in said.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == (WEATHER, PARIS)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18"}
    made = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
    turns = [{"role": "user", "content": "Paris?"}, made, result]
    said = await client.responses.create(model=f"{provider}/weather", input=turns, tools=[FLAT])
    assert said.output_text == "It is 18 degrees in Paris."
    given = {}
    async with client.responses.stream(model=f"{provider}/two", input="Both?", tools=[FLAT]) as stream:
        async for event in stream:
            if event.type == "response.function_call_arguments.delta":
                given[event.output_index] = given.get(event.output_index, "") + event.delta
    assert [json.loads(given[at]) for at in sorted(given)] == [NESTED, ROME]


async def structures_and_failures_of_responses(client, provider):
    said = await client.responses.parse(model=f"{provider}/person", input="A person.", text_format=Person)
    assert said.output_parsed == ADA
    with pytest.raises(openai.BadRequestError):
        await client.responses.create(model=f"{provider}/bad", input="Hi")
    for model in ("resets", "stops", "fails"):
        heard = []
        stream = await client.responses.create(model=f"{provider}/{model}", input="Hi", stream=True)
        with pytest.raises(openai.APIError):
            await listen(stream, heard)
        assert "response.output_text.delta" in {event.type for event in heard}
        assert "response.completed" not in {event.type for event in heard}


TALKS = (
    a_text,
    a_streamed_text,
    a_tools_round_trip,
    parallel_tools_streamed,
    words_before_a_tool,
    a_structure,
    json_without_a_schema,
    a_picture,
    thoughts_apart_from_words,
    other_ends,
    the_settings_that_clients_send,
    hints_about_sampling,
    one_tool_at_a_time,
    refusals,
    wrong_keys_and_models,
    a_stream_that_breaks,
    a_response,
    tools_of_responses,
    structures_and_failures_of_responses,
)

CANNOT = (
    (json_without_a_schema, "anthropic"),
    (hints_about_sampling, "anthropic"),
    (one_tool_at_a_time, "gemini"),
)
"""What a vendor's models cannot do: it is refused, by name."""


def cases(kinds):
    """Every talk with every kind of model that can have it."""
    return [(talk, kind) for talk in TALKS for kind in kinds if (talk, kind) not in CANNOT]
