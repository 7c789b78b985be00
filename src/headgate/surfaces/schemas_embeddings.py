"""The shapes of OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headgate.dialects.openai_embeddings import MOST_INPUTS
from headgate.surfaces.schemas import Count
from headgate.surfaces.schemas_openai import Loose


class EmbeddingsRequest(Loose):
    """Texts that are wanted as vectors."""

    input: str | list[str] | list[int] | list[list[int]] = Field(
        description=f"A text, up to {MOST_INPUTS} of them, the token ids of one, or those of several."
    )
    model: str | None = Field(
        None,
        description="A model's public name, or `provider/model` where your tier allows it; default: the operator's.",
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="`float`: numbers. `base64`: the bytes of little-endian 32-bit floats."
    )
    dimensions: int | None = Field(None, ge=1, le=100_000, description="How many numbers a vector has, where it can.")
    input_type: str | None = Field(
        None,
        description="`query` or `document`: whether the texts are searched for or searched in, a hint to some models.",
    )
    user: str | None = Field(None, description="Your own name for the end user, passed on to the provider.")


class Embedding(Loose):
    """One vector."""

    object: Literal["embedding"]
    index: Count = Field(description="Which of the inputs it belongs to.")
    embedding: list[float] | str = Field(description="The numbers, or their bytes as base64.")


class EmbeddingsUsage(Loose):
    """Tokens used."""

    prompt_tokens: Count
    total_tokens: Count
    cost_usd: float | None = Field(None, description="What the call cost, in US dollars; null where unknown.")


class Embeddings(Loose):
    """One vector for each input, in their order."""

    object: Literal["list"]
    data: list[Embedding]
    model: str = Field(description="The model that made them, by its provider's name for it.")
    usage: EmbeddingsUsage
