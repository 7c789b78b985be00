"""Embeddings at Amazon Bedrock, both sides of InvokeModel, in the words of the model's maker.

Amazon's Titan (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html) takes one
text, Cohere's models (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html) take many.
"""

from __future__ import annotations

from typing import Any

from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.events import Usage
from headgate.core.faults import Unsupported, UpstreamBroken
from headgate.dialects import cohere_embeddings
from headgate.dialects.openai_embeddings import numbers


def batch_limit(model: str) -> int:
    """How many texts one request may carry."""
    return cohere_embeddings.MOST_INPUTS if "cohere." in model else 1


def request(call: EmbedCall) -> dict[str, Any]:
    """The body, for the model that the path names. Raises Unsupported."""
    if "cohere." in call.model:
        body = cohere_embeddings.request(call)
        del body["model"]
        return body
    if "titan-embed-text" not in call.model:
        raise Unsupported(f"{call.model} makes no embeddings of text that Headgate can read", field="model")
    (text,) = call.texts("Amazon Titan")
    return {"inputText": text} | ({} if call.dimensions is None else {"dimensions": call.dimensions})


def read(data: dict[str, Any], count: int) -> Embedded:
    """The vectors of an answer, in the order of the texts. Raises the fault it reports, or UpstreamBroken."""
    if "embedding" not in data:
        return cohere_embeddings.read(data, count)
    tokens = data.get("inputTextTokenCount")
    try:
        vector = numbers(data["embedding"])
    except (TypeError, ValueError):
        raise UpstreamBroken("Amazon Titan sent an embedding of an unknown shape") from None
    return Embedded([vector], Usage(tokens, 0) if type(tokens) is int else None)
