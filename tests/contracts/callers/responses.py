"""A caller of `/v1/responses`: what it asks, and how it hears an answer. It insists on the Responses API's grammar."""

from __future__ import annotations

import json
from typing import Any

from msgspec import structs

from contracts._features import Answer, Called, Said, Used, object_of, told_logprobs
from contracts.callers.openai import SCHEMA

PATH = "/v1/responses"
TITLE = "OpenAI responses"

TOOL = {"type": "function", "name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}
CLOCK = {"type": "function", "name": "now", "description": "Tells the time."}


def user(*parts: Any) -> dict[str, Any]:
    """A turn of the user, of one text or of parts."""
    return {"role": "user", "content": parts[0] if isinstance(parts[0], str) else list(parts)}


def called(id_: str, arguments: str) -> dict[str, Any]:
    """An earlier call of the weather."""
    return {"type": "function_call", "call_id": id_, "name": "weather", "arguments": arguments}


def result(id_: str, output: str) -> dict[str, Any]:
    """What the call brought."""
    return {"type": "function_call_output", "call_id": id_, "output": output}


def asking(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A question."""
    return {"input": list(items), "store": False, **fields}


_HI = user("Say hello.")
_WHERE = user("How is the weather in Paris?")
_LOOK = {"type": "input_text", "text": "What is this?"}
_RESULTS = [
    user("How is the weather in Paris and in Rome?"),
    called("callA0001", '{"city":"Paris"}'),
    called("callB0002", '{"city":"Rome"}'),
    result("callA0001", "18 °C"),
    result("callB0002", "25 °C"),
]
_PDF = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}
_SOUND = {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}}
_LOGPROBS = ["message.output_text.logprobs"]

QUESTIONS: dict[str, dict[str, Any]] = {
    "text": {"input": "Say hello.", "store": False},
    "system": asking(_HI, instructions="Be brief."),
    "turns": asking(_HI, {"role": "assistant", "content": "Hello."}, user("Again.")),
    "sampling": asking(_HI, max_output_tokens=50, temperature=0.5),
    "top_p": asking(_HI, top_p=0.75),
    "tools": asking(_WHERE, tools=[TOOL]),
    "words_and_tools": asking(_WHERE, tools=[TOOL]),
    "parallel_calls": asking(user("How is the weather in Paris and in Rome?"), tools=[TOOL]),
    "no_arguments": asking(user("What time is it?"), tools=[CLOCK]),
    "tool_results": asking(*_RESULTS, tools=[TOOL]),
    "tool_auto": asking(_WHERE, tools=[TOOL], tool_choice="auto"),
    "tool_none": asking(_WHERE, tools=[TOOL], tool_choice="none"),
    "tool_required": asking(_WHERE, tools=[TOOL], tool_choice="required"),
    "tool_named": asking(_WHERE, tools=[TOOL], tool_choice={"type": "function", "name": "weather"}),
    "one_call": asking(_WHERE, tools=[TOOL], parallel_tool_calls=False),
    "image": asking(user(_LOOK, {"type": "input_image", "image_url": "data:image/png;base64,cG5n"})),
    "image_url": asking(user(_LOOK, {"type": "input_image", "image_url": "https://pics.example/cat.png"})),
    "audio": asking(user(_LOOK, _SOUND)),
    "file": asking(user(_LOOK, _PDF)),
    "json": asking(_HI, text={"format": {"type": "json_object"}}),
    "schema": asking(_HI, text={"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}}),
    "reasoning": asking(_HI, reasoning={"effort": "high"}),
    "logprobs": asking(_HI, include=_LOGPROBS),
    "top_logprobs": asking(_HI, include=_LOGPROBS, top_logprobs=2),
    "length": asking(_HI, max_output_tokens=5),
    "filter": asking(_HI),
    "refusal": asking(_HI),
    "cached": asking(_HI),
}


def body(question: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    """The question as it is sent."""
    return {**question, "stream": True} if stream else question


def heard_as(answer: Answer) -> Answer:
    """What of an answer this surface has words for: one choice, and not the stop sequence met."""
    return structs.replace(answer, choices=(structs.replace(answer.first, stop=""),))


def going_on(question: dict[str, Any], heard: bytes, results: dict[str, str]) -> dict[str, Any]:
    """The next question of somebody whose tools brought these results: what was heard goes back as it is."""
    told = [result(id_, text) for id_, text in results.items()]
    return {**question, "input": [*question["input"], *json.loads(heard)["output"], *told]}


def hear_whole(data: bytes) -> Answer:
    """What a `response` object says."""
    told = json.loads(data)
    assert told["object"] == "response"
    assert told["id"]
    assert told["model"]
    assert type(told["created_at"]) in {int, float}
    assert told["error"] is None
    words = {"output_text": "", "refusal": ""}
    thinking, signature, calls, logprobs = "", "", [], []
    for item in told["output"]:
        match item["type"]:
            case "message":
                for part in item["content"]:
                    words[part["type"]] += part[{"output_text": "text"}.get(part["type"], part["type"])]
                    logprobs += part.get("logprobs") or []
            case "reasoning":
                thinking += "\n\n".join(part["text"] for part in item["summary"])
                sealed = item.get("encrypted_content") or ""
                signature += "" if sealed.startswith("redacted:") else sealed
            case "function_call":
                assert item["call_id"]
                calls.append(Called(item["call_id"], item["name"], object_of(item["arguments"])))
    finish = _finish(told, calls=bool(calls))
    said = Said(
        words["output_text"], thinking, signature, words["refusal"], tuple(calls), told_logprobs(logprobs), finish
    )
    return Answer((said,), _used(told["usage"]))


def _finish(told: dict[str, Any], *, calls: bool) -> str:
    if told["status"] == "incomplete":
        return {"max_output_tokens": "length", "content_filter": "filter"}[told["incomplete_details"]["reason"]]
    assert told["status"] == "completed"
    assert told["incomplete_details"] is None
    return "tool" if calls else "stop"


def _used(usage: dict[str, Any]) -> Used:
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    return Used(
        usage["input_tokens"],
        usage["output_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["output_tokens_details"]["reasoning_tokens"],
    )


class _Item:
    """An item as its events tell it."""

    def __init__(self, item: dict[str, Any]) -> None:
        self.id = item["id"]
        self.parts: list[str] = []
        self.open = False
        self.arguments = ""
        self.done: dict[str, Any] | None = None

    def take(self, kind: str, event: dict[str, Any]) -> None:
        """One more event of it."""
        assert self.done is None, "an item goes on after its end"
        assert event["item_id"] == self.id
        if kind.endswith("part.added"):
            assert not self.open
            assert event.get("content_index", event.get("summary_index")) == len(self.parts)
            self.parts.append("")
            self.open = True
        elif kind.endswith("part.done"):
            assert self.open
            self.open = False
        elif kind.endswith("arguments.delta"):
            self.arguments += event["delta"]
        elif kind.endswith("arguments.done"):
            assert event["arguments"] == self.arguments
        elif kind.endswith(".delta"):
            assert self.open
            self.parts[-1] += event["delta"]
        elif kind.endswith(("text.done", "refusal.done")):
            assert event.get("text", event.get("refusal")) == self.parts[-1]

    def end(self, item: dict[str, Any]) -> None:
        """Its end, which says the same as its pieces."""
        assert not self.open
        assert item["id"] == self.id
        parts = item.get("content") or item.get("summary") or []
        assert self.parts == [part.get("text", part.get("refusal")) for part in parts]
        assert self.arguments == item.get("arguments", "")
        self.done = item


def hear_stream(data: bytes) -> Answer:
    """What a stream says that ended well: what its events tell, its last one tells too."""
    events = _events(data)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert all(event["response"]["status"] == "in_progress" for event in events[:2])
    items: list[_Item] = []
    for event in events[2:-1]:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert event["output_index"] == len(items)
            items.append(_Item(event["item"]))
        elif kind == "response.output_item.done":
            items[event["output_index"]].end(event["item"])
        else:
            items[event["output_index"]].take(kind, event)
    last = events[-1]
    assert last["type"] == f"response.{last['response']['status']}"
    assert last["response"]["id"] == events[0]["response"]["id"]
    assert [item.done for item in items] == last["response"]["output"]
    return hear_whole(json.dumps(last["response"]).encode())


def _events(data: bytes) -> list[dict[str, Any]]:
    *frames, last = data.decode().split("\n\n")
    assert last == "", "the last frame has no end"
    events = []
    for number, frame in enumerate(frames):
        name, line = frame.split("\n")
        events.append(json.loads(line.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
        assert events[-1]["sequence_number"] == number
    return events


def hear_failure(data: bytes) -> str:
    """The message of a stream that broke off; it must not look like an end."""
    *events, last = _events(data)
    assert last["type"] == "error"
    ends = {"response.completed", "response.incomplete"}
    assert not [event for event in events if event["type"] in ends]
    return last["message"]
