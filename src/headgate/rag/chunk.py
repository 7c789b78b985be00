"""Cutting a text into passages where it is divided anyway: headings, paragraphs, lines, sentences, words.

Passages do not overlap, and know their characters: `text[start:end]` is the passage. What a vector is made of has the
title and the headings above the passage before it; what is shown, and what the words are of, has not.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from math import ceil

from msgspec import Struct

from headgate.core.knowledge import Piece
from headgate.rag.words import identifiers

SIZE = 1000
"""Characters of the longest passage."""

_LINE = re.compile(r"(?P<fence>[ ]{0,3}(?:```|~~~))|(?P<marks>\#{1,6})[ \t]+(?P<heading>[^\n]*?)[ \t#]*$", re.MULTILINE)
_STARTS = re.compile(r"^(?=[ ]{0,3}(?:```|~~~)|\#{1,6}[ \t])", re.MULTILINE)
_CUTS = (
    re.compile(r"\n[ \t\r\f]*\n\s*"),
    re.compile(r"\n"),
    re.compile(r"[.!?…][\"')\]]*\s+|[。\uff01\uff1f]\s*"),
    re.compile(r"\s+"),
)


class Span(Struct, frozen=True):
    """Characters of a text, and the headings above them, outermost first."""

    start: int
    end: int
    path: tuple[str, ...] = ()


def pieces(document_id: str, title: str, text: str, size: int = SIZE) -> list[Piece]:
    """The passages of a document. The same words under the same headings are the same piece, wherever they stand."""
    seen: Counter[str] = Counter()
    found = []
    for span in spans(text, size):
        words = text[span.start : span.end]
        digest = hashed(title, *span.path, words)
        seen[digest] += 1
        found.append(
            Piece(
                id=hashed(document_id, digest, str(seen[digest]))[:24],
                text=words,
                start=span.start,
                end=span.end,
                digest=digest,
                path=span.path,
                words=identifiers(words),
            )
        )
    return found


def heading(text: str) -> str:
    """The text's first heading, where it begins with one; empty where it does not."""
    line = _LINE.match(text.lstrip())
    return line["heading"].strip() if line and line["heading"] else ""


def hashed(*words: str) -> str:
    """A digest of the words, one after the other."""
    whole = "\0".join(words).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(whole, digest_size=16).hexdigest()


def embedded(title: str, piece: Piece) -> str:
    """What a piece's vector is made of."""
    above = " > ".join(part for part in dict.fromkeys((title, *piece.path)) if part)
    return f"{above}\n\n{piece.text}" if above else piece.text


def spans(text: str, size: int = SIZE) -> list[Span]:
    """The passages' places, in order, none longer than `size`, none empty or with white space at its ends."""
    found: list[Span] = []
    for section in _joined(sections(text), size // 4, size):
        start = section.start
        while start < section.end:
            end = _cut(text, start, section.end, size)
            trimmed = _trimmed(text, start, end)
            if trimmed.start < trimmed.end:
                found.append(Span(trimmed.start, trimmed.end, section.path))
            start = end
    return found


def sections(text: str) -> Iterator[Span]:
    """The text from heading to heading, as Markdown has them; a `#` in a code block is none."""
    start, fence = 0, ""
    path: tuple[str, ...] = ()
    levels: list[tuple[int, str]] = []
    for at in _STARTS.finditer(text):
        line = _LINE.match(text, at.start())
        if line is None:
            continue
        if line["fence"]:
            mark = line["fence"].strip()
            fence = mark if not fence else "" if mark == fence else fence
        elif not fence:
            if at.start() > start:
                yield Span(start, at.start(), path)
            level = len(line["marks"])
            levels = [each for each in levels if each[0] < level] + [(level, line["heading"].strip()[:200])]
            start, path = at.start(), tuple(heading for _, heading in levels if heading)
    if start < len(text):
        yield Span(start, len(text), path)


def _joined(found: Iterator[Span], short: int, size: int) -> Iterator[Span]:
    """Sections, those that are short together with what follows them, under the headings that they share."""
    held: Span | None = None
    for each in found:
        if held is None:
            held = each
        elif held.end - held.start < short and each.end - held.start <= size:
            shared = len([None for a, b in zip(held.path, each.path, strict=False) if a == b])
            held = Span(held.start, each.end, each.path[:shared] or each.path[:1])
        else:
            yield held
            held = each
    if held is not None:
        yield held


def _cut(text: str, start: int, end: int, size: int) -> int:
    """Where the passage that begins at `start` ends: at the best division, near an even share of what is left."""
    left = end - start
    if left <= size:
        return end
    share = start + ceil(left / ceil(left / size))
    for pattern in _CUTS:
        places = [match.end() for match in pattern.finditer(text, start + size // 2, start + size)]
        if places:
            return min(places, key=lambda place: abs(place - share))
    return start + size


def _trimmed(text: str, start: int, end: int) -> Span:
    words = text[start:end]
    return Span(start + len(words) - len(words.lstrip()), start + len(words.rstrip()))
