"""Hugging Face's router and servers of text generation: OpenAI's dialect, with the older name of the bound."""

from __future__ import annotations

from msgspec import structs

from contracts._vendor import Error
from contracts.transcripts import openai

_BOUND = {"max_completion_tokens": "max_tokens"}


def _error(message: str, kind: str) -> dict[str, str]:
    return {"error": message, "error_type": kind}


VENDOR = structs.replace(
    openai.VENDOR,
    model="openai/gpt-oss-20b",
    path="/v1/chat/completions",
    special={},
    apis={},
    sent={
        name: {_BOUND.get(field, field): value for field, value in question.items()}
        for name, question in openai.QUESTIONS.items()
    },
    errors={
        "rejected": Error(422, _error("Input validation error: `max_new_tokens` must be > 0", "validation")),
        "too_long": Error(422, _error("`inputs` must have less than 4096 tokens. Given: 5000", "validation")),
        "key_refused": Error(401, {"error": "Invalid username or password."}),
        "unknown_model": Error(404, {"error": "Model a/b does not exist"}),
        "no_money": Error(402, {"error": "You have exceeded your monthly included credits for Inference Providers."}),
        "busy": Error(429, _error("Model is overloaded", "overloaded"), {"retry-after": "7"}),
        "overloaded": Error(503, {"error": "Model a/b is currently loading", "estimated_time": 20.0}),
        "broken": Error(424, _error("Request failed during generation: Server error: ", "generation")),
    },
)
