"""OpenAI's older completions (https://platform.openai.com/docs/api-reference/completions), as servers answer them."""

from __future__ import annotations

from typing import Any

from contracts._features import Answer, in_turns, pieces
from contracts._vendor import Api, sse
from contracts.transcripts import openai

_HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 1_750_000_000, "model": "served"}


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object."""
    choices = [
        {"index": index, "text": said.text, "logprobs": None, "finish_reason": openai.FINISH[said.finish]}
        for index, said in enumerate(answer.choices)
    ]
    return {**_HEAD, "choices": choices, "usage": openai.usage(answer.used)}


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream; the last piece of a choice says why it ended."""
    told = []
    for index, said in enumerate(answer.choices):
        texts = [{"index": index, "text": piece, "finish_reason": None} for piece in pieces(said.text)]
        texts[-1]["finish_reason"] = openai.FINISH[said.finish]
        told.append(texts)
    chunks = [{**_HEAD, "choices": [choice]} for choice in in_turns(told)]
    last = {**_HEAD, "choices": [], "usage": openai.usage(answer.used)}
    return [*map(sse, [*chunks, last]), b"data: [DONE]\n\n"]


API = Api(
    "/completions", whole, stream, sse(openai.error("The server had an error.", "server_error")), frozenset({"refusal"})
)
