"""One tool call at a time, from models that cannot be told so: the first of each choice is passed on, the rest is not.

The caller answers that one, and the model asks again for what it still wants.
"""

from __future__ import annotations

from collections.abc import Iterable

from headgate.core.call import Call
from headgate.core.events import Event, ToolArgs, ToolCall
from headgate.core.seams import Reader


class OneCall:
    """A Reader that keeps the first tool call of each choice of another one's answer."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """The events of these bytes, without further calls."""
        return filter(_is_first, self._reader.feed(chunk))

    def close(self) -> Iterable[Event]:
        """The last events, without further calls."""
        return filter(_is_first, self._reader.close())


def held(reader: Reader, call: Call) -> Reader:
    """The reader, held to one tool call where the caller wants no more at a time."""
    return OneCall(reader) if call.prompt.parallel_tools is False else reader


def _is_first(event: Event) -> bool:
    return not (isinstance(event, ToolCall | ToolArgs) and event.index)
