"""Cohere's embeddings, both sides of v2/embed (https://docs.cohere.com/reference/embed)."""

from __future__ import annotations

from typing import Any

from headgate.core.embedding import EmbedCall, Embedded, Purpose
from headgate.core.events import Usage
from headgate.core.faults import UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.openai_embeddings import numbers

MOST_INPUTS = 96
"""How many texts one request may carry."""

_TYPES: dict[Purpose, str] = {"": "search_document", "document": "search_document", "query": "search_query"}


def request(call: EmbedCall) -> dict[str, Any]:
    """The body; Cohere must be told a purpose, and without one the texts are documents. Raises Unsupported."""
    body: dict[str, Any] = {
        "model": call.model,
        "texts": call.texts("Cohere"),
        "input_type": _TYPES[call.purpose],
        "embedding_types": ["float"],
    }
    if call.dimensions is not None:
        body["output_dimension"] = call.dimensions
    return body


def read(data: dict[str, Any], count: int) -> Embedded:
    """The `count` vectors of an answer, in the order of the texts. Raises the fault it reports, or UpstreamBroken.

    Older models answer with a plain list where newer ones have an object with a list for each type.
    """
    if data.get("error") or isinstance(data.get("message"), str):
        raise fault_in_band(data)
    try:
        found = data["embeddings"]
        vectors = [numbers(vector) for vector in (found["float"] if isinstance(found, dict) else found)]
        billed = ((data.get("meta") or {}).get("billed_units") or {}).get("input_tokens")
        usage = None if billed is None else Usage(int(billed), 0, raw=data["meta"])
    except (AttributeError, LookupError, TypeError, ValueError):
        raise UpstreamBroken("Cohere sent embeddings of an unknown shape") from None
    if len(vectors) != count:
        raise UpstreamBroken(f"Cohere sent {len(vectors)} embeddings for {count} texts")
    return Embedded(vectors, usage)
