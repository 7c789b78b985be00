"""`Words`: token ids, one by one, become text that ends before the first stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What a decoder makes of the first bytes of a character."""


class Words:
    """`stopped` is the stop string that was met. `decode` makes text of ids.

    Ids are decoded together with a few before them, since how a piece is written depends on those.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        self.stopped = ""
        self._decode = decode
        self._stops = [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._told = 0
        self._held = ""

    def feed(self, token: int) -> str:
        """The text that this token completes; what may be the beginning of a stop string is held back."""
        self._ids.append(token)
        before, text = self._decode(self._ids[: self._told]), self._decode(self._ids)
        if text.endswith(_HALF) or len(text) <= len(before):
            return ""
        self._held += text[len(before) :]
        self._ids, self._told = self._ids[self._told :], len(self._ids) - self._told
        return self._release()

    def close(self) -> str:
        """What was held back, when no token follows."""
        if self.stopped:
            return ""
        before, text = self._decode(self._ids[: self._told]), self._decode(self._ids)
        self._ids, self._told = [], 0
        self._held += text[len(before) :]
        found = self._release()
        if not self.stopped:
            found, self._held = found + self._held, ""
        return found

    def _release(self) -> str:
        places = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if places:
            at, self.stopped = min(places)
            text, self._held = self._held[:at], ""
            return text
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        at = len(self._held) - keep
        text, self._held = self._held[:at], self._held[at:]
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text are the beginning of the stop string."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
