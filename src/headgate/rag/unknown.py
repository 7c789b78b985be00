"""When a model says that it does not know: how that is told from an answer."""

from __future__ import annotations

import re

I_DO_NOT_KNOW = "I don't know: the documents say nothing about this."

_LETTERS = re.compile(r"[^\w]+")
_SAID = re.compile(
    r"\b(?:(?:i|we) (?:do not|don't|cannot|can't|could not|couldn't|am unable to|am not able to) "
    r"(?:know|answer|find|determine|tell|say)"
    r"|(?:sources?|documents?|context|texts?|passages?|excerpts?|quellen|dokumente?)\b[^.!?]{0,80}?"
    r"\b(?:(?:do|does|did)(?: not|n't)|contains? no|has no|have no|nicht|kein\w*)\b"
    r"|(?:there is|there's|have|has|find|found) no (?:\w+ ){0,2}(?:information|mention|answer)"
    r"|not enough information|weiß (?:ich )?(?:es |das )?nicht"
    r"|ne sais pas|aucune information|no (?:lo )?sé\b|ninguna información)",
    re.IGNORECASE,
)
_FIRST = re.compile(r".{0,300}?(?:[.!?\n]|\Z)", re.DOTALL)


def is_unknown(answer: str, told: str, *, cited: bool) -> bool:
    """Whether an answer says that there is none.

    It does where it begins as the model was `told` to; and where it cites nothing and its first sentence says so in
    one of the usual ways.
    """
    said = _bare(answer)
    if not said or said.startswith(_bare(told)[:_ENOUGH]):
        return True
    first = _FIRST.match(answer.strip().replace("\u2019", "'"))
    return not cited and first is not None and _SAID.search(first[0]) is not None


_ENOUGH = 13
"""Letters of the phrase that must be there: models leave out its end, or add to it."""


def _bare(text: str) -> str:
    return _LETTERS.sub(" ", text[:400].casefold().replace("\u2019", "").replace("'", "")).strip()
