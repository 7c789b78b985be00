"""Follow-up questions: "and in winter?" becomes a question that can be looked up without what was said before."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headgate.core.asking import Turn
from headgate.rag.template import filled

TOKENS = 200
"""The longest rewritten question."""

MOST_CHARACTERS = 8_000
"""How much of a conversation is read, its end; each turn counts with at most a quarter of it."""

MOST_QUESTION = 2_000
"""Characters beyond which what a model wrote is no question."""

PROMPT = """\
Rewrite the last question so that it can be understood without the conversation before it: put names and things in the
place of words such as "it", "they" or "there". Keep its language and its meaning. If it can be understood as it is,
repeat it. Do not answer it. Reply with the question alone.

<conversation>
{conversation}
</conversation>

Last question: {question}
"""

_TAG = re.compile(r"<(?=\s*/?\s*conversation)", re.IGNORECASE)
_LABEL = re.compile(r"\A(?:(?:last |rewritten )?question:)\s*", re.IGNORECASE)


def prompt(question: str, history: Sequence[Turn]) -> str:
    """What a model is asked, so that it rewrites the question."""
    lines: list[str] = []
    left = MOST_CHARACTERS
    for turn in reversed(history):
        line = f"{turn.role}: {_TAG.sub('&lt;', turn.content)[: MOST_CHARACTERS // 4]}"
        if len(line) > left:
            break
        left -= len(line)
        lines.append(line)
    return filled(PROMPT, {"conversation": "\n".join(reversed(lines)), "question": question})


def question_of(text: str, original: str) -> str:
    """The question that a model wrote; the original where it wrote none that is fit to be looked up."""
    line = _LABEL.sub("", text.strip()).strip().strip('"“”').strip()
    return line if 1 <= len(line) <= MOST_QUESTION else original
