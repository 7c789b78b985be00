"""`Recipe`: how questions are answered from documents, as the operator wants it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from headgate.core.asking import Question
from headgate.core.knowledge import Mode
from headgate.rag.template import ANSWER
from headgate.rag.unknown import I_DO_NOT_KNOW


def _built_in() -> str:
    return ANSWER


class Recipe(Struct, frozen=True, kw_only=True, eq=False):
    """A name, a template, a model and what a request need not say itself.

    `template` gives the text as it is now. `context_tokens` bounds the sources in a prompt. `unknown` is the phrase for
    questions that the sources do not answer. `judge` grades answers, and `model` answers; empty: the caller's choice.
    `cache`: seconds that an answer may be remembered; None: as the service does with every answer.
    """

    name: str = "ask"
    template: Callable[[], str] = _built_in
    model: str = ""
    judge: str = ""
    unknown: str = I_DO_NOT_KNOW
    context_tokens: int = 6000
    cache: float | None = None
    description: str = ""
    collections: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    top_k: int = 5
    min_similarity: float = 0.3
    mode: Mode = "hybrid"
    evaluate: bool = False
    max_tokens: int = 512

    @property
    def defaults(self) -> Question:
        """What a question is asked with that says no more than its text."""
        return Question(
            text="",
            collections=self.collections,
            top_k=self.top_k,
            min_similarity=self.min_similarity,
            mode=self.mode,
            evaluate=self.evaluate,
        )
