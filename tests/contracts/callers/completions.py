"""A caller of `/v1/completions`: one text goes in, and it is continued."""

from __future__ import annotations

import json
from typing import Any

from msgspec import structs

from contracts._features import Answer, Said, Used

PATH = "/v1/completions"
TITLE = "OpenAI completions"


def asking(prompt: str = "Say hello.", **fields: Any) -> dict[str, Any]:
    """A question; the bound would be 16 tokens."""
    return {"prompt": prompt, "max_tokens": 100, **fields}


QUESTIONS: dict[str, dict[str, Any]] = {
    "text": asking(),
    "sampling": asking(max_tokens=50, temperature=0.5),
    "top_p": asking(top_p=0.75),
    "stop": asking("Count.", stop=["END"]),
    "seed": asking(seed=7),
    "penalties": asking(presence_penalty=0.5, frequency_penalty=0.25),
    "n": asking(n=2),
    "length": asking(max_tokens=5),
    "filter": asking(),
    "refusal": asking(),
    "cached": asking(),
}
_FINISH = {"stop": "stop", "length": "length", "content_filter": "filter"}


def body(question: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    """The question as it is sent."""
    return {**question, "stream": True, "stream_options": {"include_usage": True}} if stream else question


def heard_as(answer: Answer) -> Answer:
    """What of an answer this surface has words for: words alone, and a refusal is words."""
    return structs.replace(answer, choices=tuple(map(_words, answer.choices)))


def _words(said: Said) -> Said:
    return Said(said.text + said.refusal, finish="stop" if said.finish == "tool" else said.finish)


def hear_whole(data: bytes) -> Answer:
    """What a whole answer says."""
    told = json.loads(data)
    _check_head(told)
    assert [choice["index"] for choice in told["choices"]] == list(range(len(told["choices"])))
    choices = tuple(Said(choice["text"], finish=_FINISH[choice["finish_reason"]]) for choice in told["choices"])
    return Answer(choices, _used(told["usage"]))


def _check_head(told: dict[str, Any]) -> None:
    assert told["object"] == "text_completion"
    assert told["id"]
    assert type(told["created"]) is int
    assert told["model"]


def _used(usage: dict[str, Any]) -> Used:
    read = usage.get("prompt_tokens_details") or {}
    return Used(usage["prompt_tokens"], usage["completion_tokens"], read.get("cached_tokens") or 0)


def hear_stream(data: bytes) -> Answer:
    """What a stream says that ended well."""
    *frames, mark, end = data.decode().split("\n\n")
    assert (mark, end) == ("data: [DONE]", "")
    *chunks, last = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    texts: dict[int, str] = {}
    ends: dict[int, str] = {}
    for chunk in chunks:
        _check_head(chunk)
        for choice in chunk["choices"]:
            index = choice["index"]
            assert index not in ends, "a chunk after the finish reason"
            texts[index] = texts.get(index, "") + choice["text"]
            if choice["finish_reason"]:
                ends[index] = _FINISH[choice["finish_reason"]]
    assert last["choices"] == []
    assert sorted(ends) == sorted(texts) == list(range(len(texts)))
    return Answer(tuple(Said(texts[index], finish=ends[index]) for index in sorted(texts)), _used(last["usage"]))


def hear_failure(data: bytes) -> str:
    """The message of a stream that broke off; it must not look like an end."""
    *frames, error, end = data.decode().split("\n\n")
    assert end == ""
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    assert not [choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    message: str = json.loads(error.removeprefix("data: "))["error"]["message"]
    return message
