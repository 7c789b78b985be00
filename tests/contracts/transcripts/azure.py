"""Azure OpenAI (https://learn.microsoft.com/azure/ai-foundry/openai/reference): OpenAI's dialect, and its filters."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from contracts._features import Answer, Said
from contracts._vendor import Error, Special, sse
from contracts.transcripts import openai

_SAFE = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "low"}}
_PROMPT = [{"prompt_index": 0, "content_filter_results": _SAFE}]
_FIRST = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": _PROMPT}


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object, with what the filters found."""
    told = openai.whole(answer)
    choices = [{**choice, "content_filter_results": _SAFE} for choice in told["choices"]]
    return {**told, "choices": choices, "prompt_filter_results": _PROMPT}


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream; what was found in the prompt comes first, under no name."""
    return [sse(_FIRST), *openai.stream(answer)]


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


_FOUND = Answer((Said("Words."),))
_LATE = {
    "index": 0,
    "finish_reason": None,
    "content_filter_results": _SAFE,
    "content_filter_offsets": {"end_offset": 6},
}
_STREAMED = stream(_FOUND)
_STREAMED.insert(-3, sse({"id": "", "model": "", "choices": [_LATE]}))
_WHOLE = whole(_FOUND)
_WHOLE["choices"][0]["content_filter_offsets"] = _LATE["content_filter_offsets"]

VENDOR = structs.replace(
    openai.VENDOR,
    settings={"base_url": "https://mine.openai.azure.com"},
    model="prod-gpt-4o",
    path="/openai/v1/chat/completions",
    credential=("api-key", "secret"),
    whole=whole,
    stream=stream,
    errors={
        **openai.ERRORS,
        "key_refused": Error(401, _error("401", "Access denied due to invalid subscription key or wrong endpoint.")),
        "unknown_model": Error(404, _error("DeploymentNotFound", "The API deployment does not exist.")),
        "busy": Error(429, _error("429", "Rate limit is exceeded. Please retry after 7 seconds.")),
        "overloaded": Error(503, _error("503", "The service is temporarily unable to process your request.")),
        "broken": Error(500, _error("InternalServerError", "Backend returned unexpected response.")),
    },
    special={
        "filters": Special(
            _WHOLE,
            _STREAMED,
            _FOUND,
            ("prompt_filter_results", "content_filter_results", "content_filter_offsets"),
        )
    },
    apis={},
)
