"""What a model is told: the sources, quoted as data and numbered, as many of them as the prompt has room for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headgate.core.asking import Source
from headgate.core.knowledge import Found

NONE = "(no sources)"

_BYTES = 3
"""Bytes of UTF-8 that are taken for a token: a little high for English, and about right for Chinese."""

_AROUND = 24
"""Tokens of what stands around a quoted passage."""

_TAG = re.compile(r"<(?=\s*/?\s*source)", re.IGNORECASE)
_BLANK = re.compile(r"\s+")


def tokens_of(text: str) -> int:
    """About how many tokens a text has, rather more than less."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES)


def chosen(found: Sequence[Found], budget: int) -> tuple[tuple[Source, ...], tuple[Found, ...]]:
    """The passages numbered, best first: those that fit into a budget of tokens, and those that do not.

    The best one always stays: an answer from too long a passage can be refused by the model, one from none is wrong.
    """
    kept: list[Source] = []
    dropped: list[Found] = []
    left = budget
    for each in found:
        size = tokens_of(each.passage.text) + tokens_of(heading(each)) + _AROUND
        if kept and size > left:
            dropped.append(each)
            continue
        kept.append(Source(len(kept) + 1, each))
        left -= size
    return tuple(kept), tuple(dropped)


def quoted(sources: Sequence[Source]) -> str:
    """The sources as the model reads them. Nothing in a document can end its quotation, or begin another."""
    return "\n".join(map(_quoted, sources)) or NONE


def _quoted(source: Source) -> str:
    text = _TAG.sub("&lt;", source.found.passage.text).strip()
    return f'<source n="{source.n}" title="{_attribute(heading(source.found))}">\n{text}\n</source>'


def heading(found: Found) -> str:
    """The passage's document, and the headings above it."""
    passage = found.passage
    path = [part for part in passage.path if part != passage.title]
    return " > ".join([passage.title, *path])


def _attribute(text: str) -> str:
    return _BLANK.sub(" ", text).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")[:200]
