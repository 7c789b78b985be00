"""The sections that say how questions are answered from documents: `[ask]`, and `[recipes.NAME]`."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from headgate.config.sections import Section, Share
from headgate.config.values import Duration, Names

_INPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Ask(Section):
    """How `/ask` answers, where a request does not say it itself."""

    template: str = Field(
        "", description="What a model is told, with `{question}`, `{sources}` and `{unknown}`; `file:PATH` is re-read."
    )
    model: str = Field("", description="The model that answers; empty: the one that the request or `[routing]` names.")
    judge: str = Field("", description="The model that grades answers with `evaluate`; empty: the one that answers.")
    unknown: str = Field(
        "I don't know: the documents say nothing about this.",
        min_length=1,
        description="What is said where the documents have no answer.",
    )
    context_tokens: int = Field(6000, ge=100, description="Room for sources in a prompt, in tokens, estimated high.")
    top_k: int = Field(5, ge=1, le=50, description="Passages that an answer is made from at most.")
    min_similarity: Share = Field(
        0.3, le=1, description="Similarity below which a passage is no source; the right one depends on the embedder."
    )
    mode: Literal["hybrid", "lexical", "dense"] = Field("hybrid", description="How passages are looked for.")
    max_tokens: int = Field(512, ge=1, description="Longest answer, in tokens.")


class Recipe(Ask):
    """A pipeline of its own, `[recipes.NAME]`, called as `POST /recipes/NAME`; what it does not say, `[ask]` does."""

    description: str = Field("", description="What it is for; told by `GET /recipes`.")
    collections: Names = Field((), description="Collections of the caller's that are searched; empty: all of them.")
    inputs: Names = Field((), description="Further placeholders of the template, which requests fill by `input`.")
    evaluate: bool = Field(False, description="Whether answers are graded.")
    cache: Duration | None = Field(
        None, description="How old a remembered answer may be, up to `[cache] ttl`; unset: as `[cache]` has it."
    )

    @field_validator("inputs")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _INPUT.fullmatch(name) or name in {"question", "sources", "unknown"}:
                raise ValueError(
                    f'cannot have "{name}": names are letters, digits and _, and not those of every recipe'
                )
        return names
