"""Hugging Face's feature extraction, both sides, as its own inference serves it.

https://huggingface.co/docs/inference-providers/tasks/feature-extraction. The answer is a bare list of vectors.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.faults import Unsupported, UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.openai_embeddings import numbers


def request(call: EmbedCall) -> dict[str, Any]:
    """The body. Raises Unsupported for token ids and for a number of dimensions."""
    if call.dimensions is not None:
        raise Unsupported("Hugging Face's feature extraction does not shorten vectors", field="dimensions")
    return {"inputs": call.texts("Hugging Face")}


def read(body: bytes, count: int) -> Embedded:
    """The `count` vectors of an answer, in the order of the texts. Raises the fault it reports, or UpstreamBroken.

    A model that answers with a vector for each token is not one for embeddings.
    """
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamBroken("the upstream sent something that is not JSON") from None
    if isinstance(data, dict):
        raise fault_in_band(data)
    try:
        vectors = [numbers(vector) for vector in data]
    except (TypeError, ValueError):
        raise UpstreamBroken("Hugging Face sent something else than one vector for each text") from None
    if len(vectors) != count:
        raise UpstreamBroken(f"Hugging Face sent {len(vectors)} embeddings for {count} texts")
    return Embedded(vectors)
