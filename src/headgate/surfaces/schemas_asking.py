"""The shapes of questions to documents and of their answers, for the documentation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from headgate.dialects.asking import MOST_COLLECTIONS, MOST_SOURCES, MOST_TURNS, PREVIEW
from headgate.dialects.simple import MAX_CHARS
from headgate.surfaces.schemas import MOST_TOKENS, Count, Done, GenerateReply, Strict

_SIMILAR = "How near the passage is to the question, from 0 to 1."


class Turn(Strict):
    """An earlier turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class RecipeRequest(Strict):
    """A question to a recipe."""

    question: str = Field(min_length=1, max_length=MAX_CHARS, description="What is asked.")
    input: dict[str, str] | None = Field(None, description="The recipe's further inputs, each 1 character or more.")
    history: list[Turn] | None = Field(
        None,
        max_length=MOST_TURNS,
        description="What was said before, oldest first. A question that refers to it is first rewritten by a model.",
    )
    evaluate: bool | None = Field(
        None, description="Whether a model grades the sources and the answer, which costs up to two more calls."
    )
    stream: bool | None = Field(None, description="Whether to answer with Server-Sent Events while the model speaks.")


class AskRequest(Strict):
    """A question to documents."""

    question: str = Field(min_length=1, max_length=MAX_CHARS, description="What is asked.")
    collections: list[str] | None = Field(
        None, max_length=MOST_COLLECTIONS, description="Where to look; default: all of the caller's."
    )
    top_k: int | None = Field(None, ge=1, le=MOST_SOURCES, description="Most passages to answer from; default: 5.")
    min_similarity: float | None = Field(
        None, ge=0, le=1, description="Similarity below which a passage is no source; default: 0.3."
    )
    mode: Literal["hybrid", "lexical", "dense"] | None = Field(None, description="How to look; default: `hybrid`.")
    filters: dict[str, Any] | None = Field(
        None, description="Fields of the documents' metadata, each with a value, or a list of which one must fit."
    )
    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS, description="Longest answer, in tokens; default: 512.")
    temperature: float | None = Field(0, ge=0, le=2, description="Randomness; null: the model's own.")
    model: str | None = Field(None, description="A model's public name, or `provider/model`; default: the operator's.")
    history: list[Turn] | None = Field(
        None,
        max_length=MOST_TURNS,
        description="What was said before, oldest first. A question that refers to it is first rewritten by a model.",
    )
    evaluate: bool | None = Field(
        None, description="Whether a model grades the sources and the answer, which costs up to two more calls."
    )
    stream: bool | None = Field(None, description="Whether to answer with Server-Sent Events while the model speaks.")


class DroppedSource(Strict):
    """A passage, and where it stands."""

    title: str = Field(description="The document's.")
    path: list[str] = Field(description="The headings above the passage, outermost first.")
    content_preview: str = Field(description=f"Its first {PREVIEW} characters.")
    similarity_score: float = Field(ge=0, le=1, description=_SIMILAR)
    score_kind: Literal["cosine", "coverage"] = Field(
        description="What that is: the cosine of two vectors, or how much of the question's words the passage has."
    )
    collection: str
    document_id: str
    chunk_id: str
    start: Count = Field(description="Where it begins in the document's text, in characters.")
    end: Count = Field(description="Where it ends.")


class Source(DroppedSource):
    """A passage that an answer was made from."""

    n: int = Field(ge=1, description="The number by which the answer's marks name it: `[1]`.")


class Citation(Strict):
    """A mark in an answer, such as `[1]`; its place is counted in Unicode characters."""

    start: Count
    end: Count
    source_n: int = Field(ge=1)


class Grade(Strict):
    """A model's judgement."""

    score: float | None = Field(ge=0, le=1, description="Null where there is none; `reason` says why.")
    reason: str


class Evaluation(Strict):
    """What a model judged."""

    context_relevance: Grade = Field(description="Whether the sources have what the question needs.")
    answer_support: Grade = Field(description="Whether the sources support every statement of the answer.")


class AskSources(Strict):
    """What was found: the first event of a stream."""

    query: str = Field(description="What was looked up: the question, rewritten where it followed others.")
    sources: list[Source]
    sources_dropped: list[DroppedSource] = Field(description="Passages for which the prompt had no room.")


class AskCitations(Strict):
    """The marks of an answer whose words have all been sent."""

    citations: list[Citation] = Field(description="Marks that point to no source were left out of the answer.")


class AskDone(Done):
    """The end of a streamed answer; tokens, cost and latency are of all calls that it took."""

    answered: bool = Field(description='Whether there is an answer, and not "I don\'t know".')
    grounded: bool = Field(description="Whether the answer names sources, and no judge found that they do not bear it.")
    tokens_used: Count = Field(description="Tokens in and out together.")
    evaluation: Evaluation | None = Field(None, description="Where it was asked for.")


class AskReply(AskDone, AskSources, AskCitations):
    """A whole answer, and what it rests on."""

    answer: str = Field(description="The answer, with marks such as `[1]`.")


class GroundedReply(GenerateReply):
    """A whole `/generate` answer; with `use_context` its sources too."""

    query: str = Field(default_factory=str, description="What was looked up.")
    answered: bool = Field(default_factory=bool, description='Whether there is an answer, and not "I don\'t know".')
    grounded: bool = Field(default_factory=bool, description="Whether the answer names its sources.")
    sources: list[Source] = Field(default_factory=list)
    sources_dropped: list[DroppedSource] = Field(default_factory=list)
    citations: list[Citation] = Field(default_factory=list)


class RecipeTold(Strict):
    """A recipe."""

    name: str = Field(description="It is called as `POST /recipes/NAME`.")
    description: str
    inputs: list[str] = Field(description="What a request must have in `input`.")
    collections: list[str] = Field(description="Where it looks; empty: in all collections of the caller's.")
    model: str | None = Field(description="The model that answers; null: the default one.")
    evaluate: bool = Field(description="Whether its answers are graded, unless a request says otherwise.")
    top_k: int
    min_similarity: float
    max_tokens: int
    cache: float | None = Field(description="Seconds for which an answer is remembered; null: as any other answer.")


class RecipeList(Strict):
    """The recipes of a service."""

    recipes: list[RecipeTold]
