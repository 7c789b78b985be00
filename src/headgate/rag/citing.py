"""Marks such as [2] in an answer: those that point to a source are kept, invented ones are left out.

Pure and incremental: an answer may come in any pieces, and a mark may be split over them. Code between backticks is
nobody's citation.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from headgate.core.asking import Citation

_MARK = re.compile(r"[ \t]{0,8}\[(\d{1,4}(?:[ \t]{0,4},[ \t]{0,4}\d{1,4}){0,15})\]|(`+)|(\n)")
# What may still become a mark, or a longer run of backticks, when more words come.
_UNSURE = re.compile(r"(?:[ \t]{0,8}\[[\d, \t]{0,200}|[ \t]{1,8}|`+)\Z")
_NUMBER = re.compile(r"\d+")


class Citing:
    """Checks the marks of one answer. `text` is the answer so far as the caller has it, `citations` its marks.

    With `hidden` no mark is shown; a citation then stands where it was.
    """

    def __init__(self, known: Collection[int], *, hidden: bool = False) -> None:
        self._known = known
        self._hidden = hidden
        self._waiting = ""
        self._fence = ""
        self._pieces: list[str] = []
        self._length = 0
        self.citations: list[Citation] = []

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._pieces)

    def feed(self, text: str) -> str:
        """The words that are sure by now."""
        self._waiting += text
        unsure = _UNSURE.search(self._waiting)
        sure = self._waiting[: unsure.start()] if unsure else self._waiting
        self._waiting = self._waiting[len(sure) :]
        return self._checked(sure)

    def close(self) -> str:
        """The words that waited for more."""
        rest, self._waiting = self._waiting, ""
        return self._checked(rest)

    def _checked(self, text: str) -> str:
        before, at = self._length, 0
        first = len(self._pieces)
        for match in _MARK.finditer(text):
            self._say(text[at : match.start()])
            at = match.end()
            if match[1] and not self._fence:
                self._mark(match)
                continue
            if match[2]:
                self._backticks(match[2])
            elif match[3] and len(self._fence) < 3:  # a stray backtick spoils its own line at most
                self._fence = ""
            self._say(match[0])
        self._say(text[at:])
        return "".join(self._pieces[first:]) if self._length > before else ""

    def _mark(self, match: re.Match[str]) -> None:
        numbers = [n for n in map(int, _NUMBER.findall(match[1])) if n in self._known]
        if not numbers:
            return
        space = match[0][: match[0].index("[")]
        self._say("" if self._hidden else space)
        start = self._length
        self._say("" if self._hidden else f"[{', '.join(map(str, numbers))}]")
        self.citations += [Citation(start, self._length, n) for n in dict.fromkeys(numbers)]

    def _backticks(self, run: str) -> None:
        if not self._fence:
            self._fence = run
        elif len(run) >= len(self._fence):
            self._fence = ""

    def _say(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._length += len(text)
