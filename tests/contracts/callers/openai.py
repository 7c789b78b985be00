"""A caller of `/v1/chat/completions`: what it asks, and how it hears an answer. It insists on OpenAI's grammar."""

from __future__ import annotations

import json
from typing import Any

from msgspec import structs

from contracts._features import Answer, Called, Said, Used, object_of, told_logprobs

PATH = "/v1/chat/completions"
TITLE = "OpenAI chat"

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA},
}
CLOCK = {"type": "function", "function": {"name": "now", "description": "Tells the time."}}
PDF = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}


def user(*content: Any) -> dict[str, Any]:
    """A turn of the user, of one text or of parts."""
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def text(words: str) -> dict[str, Any]:
    """A part of text."""
    return {"type": "text", "text": words}


def called(id_: str, arguments: str) -> dict[str, Any]:
    """An earlier call of the weather."""
    return {"id": id_, "type": "function", "function": {"name": "weather", "arguments": arguments}}


def asking(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A question."""
    return {"messages": list(messages), **fields}


_HI = user("Say hello.")
_WHERE = user("How is the weather in Paris?")
_LOOK = text("What is this?")
_RESULTS = [
    user("How is the weather in Paris and in Rome?"),
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [called("callA0001", '{"city":"Paris"}'), called("callB0002", '{"city":"Rome"}')],
    },
    {"role": "tool", "tool_call_id": "callA0001", "content": "18 °C"},
    {"role": "tool", "tool_call_id": "callB0002", "content": "25 °C"},
]
_NAMED = {"type": "function", "function": {"name": "weather"}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}

QUESTIONS: dict[str, dict[str, Any]] = {
    "text": asking(_HI),
    "system": asking({"role": "system", "content": "Be brief."}, _HI),
    "turns": asking(_HI, {"role": "assistant", "content": "Hello."}, user("Again.")),
    "sampling": asking(_HI, max_completion_tokens=50, temperature=0.5),
    "top_p": asking(_HI, top_p=0.75),
    "stop": asking(user("Count."), stop=["END"]),
    "seed": asking(_HI, seed=7),
    "penalties": asking(_HI, presence_penalty=0.5, frequency_penalty=0.25),
    "tools": asking(_WHERE, tools=[TOOL]),
    "words_and_tools": asking(_WHERE, tools=[TOOL]),
    "parallel_calls": asking(user("How is the weather in Paris and in Rome?"), tools=[TOOL]),
    "no_arguments": asking(user("What time is it?"), tools=[CLOCK]),
    "tool_results": asking(*_RESULTS, tools=[TOOL]),
    "tool_auto": asking(_WHERE, tools=[TOOL], tool_choice="auto"),
    "tool_none": asking(_WHERE, tools=[TOOL], tool_choice="none"),
    "tool_required": asking(_WHERE, tools=[TOOL], tool_choice="required"),
    "tool_named": asking(_WHERE, tools=[TOOL], tool_choice=_NAMED),
    "one_call": asking(_WHERE, tools=[TOOL], parallel_tool_calls=False),
    "image": asking(user(_LOOK, {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}})),
    "image_url": asking(user(_LOOK, {"type": "image_url", "image_url": {"url": "https://pics.example/cat.png"}})),
    "audio": asking(user(_LOOK, {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}})),
    "file": asking(user(_LOOK, {"type": "file", "file": PDF})),
    "json": asking(_HI, response_format={"type": "json_object"}),
    "schema": asking(_HI, response_format=_SCHEMA),
    "reasoning": asking(_HI, reasoning_effort="high"),
    "n": asking(_HI, n=2),
    "logprobs": asking(_HI, logprobs=True),
    "top_logprobs": asking(_HI, logprobs=True, top_logprobs=2),
    "length": asking(_HI, max_completion_tokens=5),
    "filter": asking(_HI),
    "refusal": asking(_HI),
    "cached": asking(_HI),
}

_FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool", "content_filter": "filter"}


def body(question: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    """The question as it is sent."""
    return {**question, "stream": True, "stream_options": {"include_usage": True}} if stream else question


def heard_as(answer: Answer) -> Answer:
    """What of an answer this surface has words for: all but signatures and the stop sequence met."""
    return structs.replace(answer, choices=tuple(structs.replace(c, signature="", stop="") for c in answer.choices))


def going_on(question: dict[str, Any], heard: bytes, results: dict[str, str]) -> dict[str, Any]:
    """The next question of somebody whose tools brought these results: what was heard goes back as it is."""
    told = [{"role": "tool", "tool_call_id": id_, "content": text} for id_, text in results.items()]
    said = json.loads(heard)["choices"][0]["message"]
    return {**question, "messages": [*question["messages"], said, *told]}


def hear_whole(data: bytes) -> Answer:
    """What a whole answer says."""
    told = json.loads(data)
    assert told["object"] == "chat.completion"
    assert isinstance(told["id"], str)
    assert told["id"]
    assert type(told["created"]) is int
    assert told["model"]
    assert [choice["index"] for choice in told["choices"]] == list(range(len(told["choices"])))
    choices = []
    for choice in told["choices"]:
        message = choice["message"]
        assert message["role"] == "assistant"
        calls = message.get("tool_calls") or []
        assert message["content"] is not None or calls or message.get("refusal"), message
        assert all(call["type"] == "function" for call in calls)
        choices.append(
            Said(
                message["content"] or "",
                message.get("reasoning_content") or "",
                refusal=message.get("refusal") or "",
                calls=tuple(_call(call["id"], call["function"]) for call in calls),
                logprobs=told_logprobs((choice.get("logprobs") or {}).get("content")),
                finish=_FINISH[choice["finish_reason"]],
            )
        )
    return Answer(tuple(choices), _used(told["usage"]))


def _call(id_: str, function: dict[str, str]) -> Called:
    assert id_
    return Called(id_, function["name"], object_of(function["arguments"]))


def _used(usage: dict[str, Any]) -> Used:
    tokens_in, tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
    assert usage["total_tokens"] == tokens_in + tokens_out
    read = usage.get("prompt_tokens_details") or {}
    made = usage.get("completion_tokens_details") or {}
    return Used(tokens_in, tokens_out, read.get("cached_tokens") or 0, made.get("reasoning_tokens") or 0)


class _Choice:
    """A choice as its chunks tell it."""

    def __init__(self) -> None:
        self.said = {"content": "", "reasoning_content": "", "refusal": ""}
        self.calls: list[dict[str, str]] = []
        self.logprobs: list[Any] = []
        self.finish = ""
        self.begun = False

    def take(self, choice: dict[str, Any]) -> None:
        """One more chunk."""
        assert not self.finish, "a chunk after the finish reason"
        delta = choice["delta"]
        assert self.begun or delta.get("role") == "assistant", "the first chunk has no role"
        assert not self.begun or "role" not in delta or delta["role"] == "assistant"
        self.begun = True
        for name in self.said:
            self.said[name] += delta.get(name) or ""
        for call in delta.get("tool_calls") or ():
            self._take_call(call)
        self.logprobs += (choice.get("logprobs") or {}).get("content") or []
        self.finish = choice["finish_reason"] or ""

    def _take_call(self, call: dict[str, Any]) -> None:
        index, function = call["index"], call["function"]
        if index == len(self.calls):
            assert call["type"] == "function"
            assert call["id"]
            assert function["name"]
            self.calls.append({"id": call["id"], "name": function["name"], "arguments": ""})
        else:
            assert 0 <= index < len(self.calls), "a gap in the numbers of the calls"
            assert not function.get("name"), "a call begins twice"
        self.calls[index]["arguments"] += function.get("arguments") or ""

    def whole(self) -> Said:
        """What it says."""
        return Said(
            self.said["content"],
            self.said["reasoning_content"],
            refusal=self.said["refusal"],
            calls=tuple(_call(call["id"], call) for call in self.calls),
            logprobs=told_logprobs(self.logprobs),
            finish=_FINISH[self.finish],
        )


def hear_stream(data: bytes) -> Answer:
    """What a stream says that ended well."""
    frames = data.decode().split("\n\n")
    assert frames[-1] == "", "the last frame has no end"
    assert frames[-2] == "data: [DONE]", "the stream has no end mark"
    assert all(frame.startswith("data: {") and "\n" not in frame for frame in frames[:-2])
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]
    assert len({chunk["id"] for chunk in chunks}) == 1, "the id changes in the stream"
    choices: dict[int, _Choice] = {}
    for chunk in chunks[:-1]:
        assert chunk["object"] == "chat.completion.chunk"
        assert type(chunk["created"]) is int
        assert chunk["model"]
        for choice in chunk["choices"]:
            choices.setdefault(choice["index"], _Choice()).take(choice)
    last = chunks[-1]
    assert last["choices"] == [], "the usage comes in a chunk of its own"
    assert sorted(choices) == list(range(len(choices)))
    return Answer(tuple(choices[index].whole() for index in sorted(choices)), _used(last["usage"]))


def hear_failure(data: bytes) -> str:
    """The message of a stream that broke off; it must not look like an end."""
    frames = data.decode().split("\n\n")
    assert "data: [DONE]" not in frames
    error = json.loads(frames[-2].removeprefix("data: "))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    for frame in frames[:-2]:
        choices = json.loads(frame.removeprefix("data: "))["choices"]
        assert not [choice for choice in choices if choice["finish_reason"]], "a finish reason was made up"
    return error["message"]
