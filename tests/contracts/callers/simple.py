"""A caller of the simple surface: `/chat`."""

from __future__ import annotations

import json
from typing import Any

from contracts._features import Answer, Said, Used

PATH = "/chat"
TITLE = "Simple"

_HI = {"message": "Say hello."}
_SYSTEM = {"message": "Say hello.", "system_prompt": "Be brief."}
QUESTIONS: dict[str, dict[str, Any]] = {
    "text": _HI,
    "system": _SYSTEM,
    "sampling": {**_HI, "max_tokens": 50, "temperature": 0.5},
    "length": {**_HI, "max_tokens": 5},
    "filter": _HI,
    "refusal": _HI,
    "cached": _HI,
}
_FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool", "content_filter": "filter"}


def body(question: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    """The question as it is sent."""
    return {**question, "stream": stream}


def heard_as(answer: Answer) -> Answer:
    """What of an answer this surface has words for: the first choice's, and how many tokens there were.

    To somebody who reads words alone, a refusal is words.
    """
    first, used = answer.first, answer.used
    return Answer((Said(first.text + first.refusal, finish=first.finish),), Used(used.tokens_in, used.tokens_out))


def hear_whole(data: bytes) -> Answer:
    """What a whole answer says."""
    told = json.loads(data)
    return _answer(told.pop("response"), told)


def _answer(text: str, told: dict[str, Any]) -> Answer:
    assert set(told) == {
        "model",
        "provider",
        "prompt_tokens",
        "completion_tokens",
        "cost_usd",
        "latency_ms",
        "finish_reason",
        "cached",
        "request_id",
    }
    return Answer(
        (Said(text, finish=_FINISH[told["finish_reason"]]),), Used(told["prompt_tokens"], told["completion_tokens"])
    )


def hear_stream(data: bytes) -> Answer:
    """What a stream says that ended well."""
    *deltas, done, mark, end = data.decode().split("\n\n")
    assert (mark, end) == ("data: [DONE]", "")
    assert done.startswith("event: done\ndata: {")
    pieces = [json.loads(delta.removeprefix("data: ")) for delta in deltas]
    assert all(set(piece) == {"delta"} and piece["delta"] for piece in pieces)
    return _answer("".join(piece["delta"] for piece in pieces), json.loads(done.partition("data: ")[2]))


def hear_failure(data: bytes) -> str:
    """The message of a stream that broke off; it must not look like an end."""
    *deltas, error, end = data.decode().split("\n\n")
    assert end == ""
    assert error.startswith("event: error\ndata: {")
    assert all(delta.startswith('data: {"delta"') for delta in deltas)
    return json.loads(error.partition("data: ")[2])["error"]
