"""Gemini's embeddings, both sides of batchEmbedContents (https://ai.google.dev/api/embeddings).

One text is a batch of one, so that there is one way to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headgate.core.embedding import Embedded, Purpose
from headgate.core.events import Usage
from headgate.core.faults import UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.gemini import resource

BATCH_LIMIT = 100
"""How many texts one request may carry."""


_TASKS: dict[Purpose, str] = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}


def request(texts: Sequence[str], model: str, dimensions: int | None = None, purpose: Purpose = "") -> dict[str, Any]:
    """The body of batchEmbedContents; `dimensions` shortens the vectors."""
    more: dict[str, Any] = {} if dimensions is None else {"outputDimensionality": dimensions}
    if purpose:
        more["taskType"] = _TASKS[purpose]
    name = resource(model)
    return {"requests": [{"model": name, "content": {"parts": [{"text": text}]}, **more} for text in texts]}


def vectors(data: dict[str, Any], count: int) -> list[list[float]]:
    """The `count` vectors of an answer, in the order of the texts. Raises the fault it reports, or UpstreamBroken."""
    if data.get("error"):
        raise fault_in_band(data)
    try:
        found = [[float(number) for number in embedding["values"]] for embedding in data["embeddings"]]
    except (LookupError, TypeError, ValueError):
        raise UpstreamBroken("Gemini sent embeddings of an unknown shape") from None
    if len(found) != count:
        raise UpstreamBroken(f"Gemini sent {len(found)} embeddings for {count} texts")
    return found


def tokens_in(data: dict[str, Any]) -> int | None:
    """The tokens of all texts, where the answer tells (newer models' do)."""
    usage = data.get("usageMetadata")
    count = usage.get("promptTokenCount") if isinstance(usage, dict) else None
    return count if isinstance(count, int) else None


def read(data: dict[str, Any], count: int) -> Embedded:
    """The whole answer: `vectors`, and the tokens where it tells them."""
    found, tokens = vectors(data, count), tokens_in(data)
    return Embedded(found, None if tokens is None else Usage(tokens, 0, raw=data["usageMetadata"]))
