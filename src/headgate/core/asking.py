"""Answers from documents: what someone asks of them, the sources of an answer, and what became of it."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from headgate.core.knowledge import Found, Mode

VENDOR = "headgate"
"""The vendor of the Extras that tell of sources and outcomes."""

SOURCES = "sources"
"""The Extra that comes before an answer's words; its value is `Retrieved`."""

CITATIONS = "citations"
"""The Extra that comes after them; its value is a tuple of `Citation`."""

VERDICT = "verdict"
"""The Extra that comes last, before the Receipt; its value is `Verdict`."""


class Turn(Struct, frozen=True):
    """An earlier turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class Question(Struct, frozen=True, kw_only=True):
    """What someone asks of documents. `collections` empty: all of the caller's.

    `top_k` passages are read, of those whose similarity is at least `min_similarity`. `history` is what the question
    may refer to. `inputs` fill the placeholders of a template of the operator's.
    """

    text: str
    collections: tuple[str, ...] = ()
    top_k: int = 5
    min_similarity: float = 0.3
    mode: Mode = "hybrid"
    filter: dict[str, Any] = {}
    history: tuple[Turn, ...] = ()
    evaluate: bool = False
    inputs: dict[str, str] = {}


class Source(Struct, frozen=True):
    """A passage that an answer may rest on; the model knows it by `n`, counted from 1."""

    n: int
    found: Found


class Retrieved(Struct, frozen=True):
    """What was found for a question: the sources, those that had no place in the prompt, and what was looked for."""

    sources: tuple[Source, ...]
    dropped: tuple[Found, ...] = ()
    query: str = ""


class Citation(Struct, frozen=True):
    """A mark in an answer, between its characters `start` and `end`, that points to a source."""

    start: int
    end: int
    source_n: int


class Grade(Struct, frozen=True):
    """A judgement from 0 to 1; None where it could not be had, and `reason` says why."""

    score: float | None
    reason: str = ""


class Evaluation(Struct, frozen=True):
    """Whether the sources fit the question, and whether they support the answer."""

    context_relevance: Grade
    answer_support: Grade


class Verdict(Struct, frozen=True):
    """What became of a question.

    `answered`: it was answered, and not with "I don't know". `grounded`: the answer rests on sources that it names,
    and nobody who graded it found otherwise.
    """

    answered: bool
    grounded: bool
    evaluation: Evaluation | None = None
