"""Vertex AI (https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference): Gemini's own words.

Its Claude models speak Anthropic's; `tests/providers/test_vertex.py` has them.
"""

from __future__ import annotations

from msgspec import structs

from contracts._vendor import Error
from contracts.transcripts import gemini

_MODEL = "/v1/projects/mine/locations/europe-west4/publishers/google/models/gemini-2.5-flash"

VENDOR = structs.replace(
    gemini.VENDOR,
    settings={"project": "mine", "location": "europe-west4"},
    path=_MODEL + ":generateContent",
    stream_path=_MODEL + ":streamGenerateContent?alt=sse",
    errors={
        **gemini.ERRORS,
        "key_refused": Error(401, gemini.error(401, "UNAUTHENTICATED", "Request had invalid credentials.")),
        "unknown_model": Error(404, gemini.error(404, "NOT_FOUND", "Publisher Model `gemini-9` was not found.")),
        "busy": Error(
            429, gemini.error(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again."), {"retry-after": "7"}
        ),
    },
)
