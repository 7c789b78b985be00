"""Vertex AI's embeddings, both sides: `predict` for the models that take instances, `embedContent` for the newer ones.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api. A text that is too long for
the model is refused, not cut.
"""

from __future__ import annotations

from typing import Any

from headgate.core.embedding import EmbedCall, Embedded, Purpose
from headgate.core.events import Usage
from headgate.core.faults import UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.openai_embeddings import numbers

_TASKS: dict[Purpose, str] = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}


def batch_limit(model: str) -> int:
    """How many texts one request may carry."""
    return 1 if "gemini" in model else 250


def predicts(model: str) -> bool:
    """Whether the model is asked by `predict`."""
    return "gemini" not in model or model == "gemini-embedding-001"


def predict_request(call: EmbedCall) -> dict[str, Any]:
    """The body of `predict`."""
    task = {"task_type": _TASKS[call.purpose]} if call.purpose else {}
    parameters: dict[str, Any] = {"autoTruncate": False}
    if call.dimensions is not None:
        parameters["outputDimensionality"] = call.dimensions
    return {"instances": [{"content": text} | task for text in call.texts("Vertex AI")], "parameters": parameters}


def embed_request(call: EmbedCall) -> dict[str, Any]:
    """The body of `embedContent`, which takes one text."""
    (text,) = call.texts("Vertex AI")
    config: dict[str, Any] = {"autoTruncate": False}
    if call.dimensions is not None:
        config["outputDimensionality"] = call.dimensions
    if call.purpose:
        config["taskType"] = _TASKS[call.purpose]
    return {"content": {"parts": [{"text": text}]}, "embedContentConfig": config}


def read(data: dict[str, Any], count: int) -> Embedded:
    """The `count` vectors of either answer, in order. Raises the fault it reports, or UpstreamBroken."""
    if data.get("error"):
        raise fault_in_band(data)
    try:
        if "embedding" in data:
            found = [numbers(data["embedding"]["values"])]
            counts = [(data.get("usageMetadata") or {}).get("promptTokenCount")]
        else:
            embeddings = [prediction["embeddings"] for prediction in data["predictions"]]
            found = [numbers(embedding["values"]) for embedding in embeddings]
            counts = [(embedding.get("statistics") or {}).get("token_count") for embedding in embeddings]
    except (AttributeError, LookupError, TypeError, ValueError):
        raise UpstreamBroken("Vertex AI sent embeddings of an unknown shape") from None
    if len(found) != count:
        raise UpstreamBroken(f"Vertex AI sent {len(found)} embeddings for {count} texts")
    told = [tokens for tokens in counts if isinstance(tokens, (int, float))]
    return Embedded(found, Usage(int(sum(told)), 0) if len(told) == count else None)
