"""A glance at an answer of OpenAI's dialect that is passed on: no more of it is read than must be known.

To decode only these fields costs a third of decoding all; what is read lives too shortly to be a matter for the garbage
collector. Whatever is not quite so plain is for the Readers.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import DecodeError, Meta, Raw, Struct, json

_Tokens = Annotated[int, Meta(ge=0, lt=2**53)]
_None = Literal[0] | None


class _Message(Struct, gc=False):
    tool_calls: Annotated[list[Raw], Meta(max_length=0)] | None = None


class _Choice(Struct, gc=False):
    message: _Message
    finish_reason: Annotated[str, Meta(min_length=1)]
    index: Literal[0]
    error: None = None


class _Read(Struct, gc=False):
    cached_tokens: _None = None


class _Made(Struct, gc=False):
    reasoning_tokens: _None = None


class _Usage(Struct, gc=False):
    prompt_tokens: _Tokens
    completion_tokens: _Tokens
    prompt_tokens_details: _Read | None = None
    completion_tokens_details: _Made | None = None
    prompt_cache_hit_tokens: _None = None
    num_cached_tokens: _None = None
    cached_tokens: _None = None


class _Answer(Struct, gc=False):
    id: str
    object: str
    created: int
    model: str
    choices: Annotated[list[_Choice], Meta(min_length=1, max_length=1)]
    usage: _Usage
    error: None = None


class _Delta(Struct, gc=False):
    content: str | None = None
    tool_calls: Annotated[list[Raw], Meta(max_length=0)] | None = None


class _Piece(Struct, gc=False):
    index: Literal[0]
    delta: _Delta
    finish_reason: str | None = None
    error: None = None


class _Chunk(Struct, gc=False):
    choices: Annotated[list[_Piece], Meta(min_length=1, max_length=1)]
    usage: None = None
    x_groq: None = None
    error: None = None


_decode = json.Decoder(_Answer).decode
_decode_chunk = json.Decoder(_Chunk).decode
_decode_words = json.Decoder(str).decode
_WORDS = re.compile(rb'"content": ?"([^"\\]*)"')


def glance(body: bytes) -> tuple[str, int, int] | None:
    """The reason why a plain answer ended, and its tokens in and out.

    None for one that has several choices, an error, tool calls, no count of its tokens, or any that were cached or
    thought; and for one that lacks what every answer has.
    """
    try:
        answer = _decode(body)
        if not body.isascii():
            body.decode()  # what is passed over is not checked
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    usage = answer.usage
    return answer.choices[0].finish_reason, usage.prompt_tokens, usage.completion_tokens


def goes_on(chunk: bytes) -> bool:
    """Whether a chunk of a stream is but a piece of the first choice: no end, no usage, no tool call, no error."""
    try:
        said = _decode_chunk(chunk)
        if not chunk.isascii():
            chunk.decode()  # what is passed over is not checked
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return said.choices[0].finish_reason is None  # that it is no error, as the others, saves making one at every end


class Alike:
    """Tells the pieces of one stream that differ in nothing but their words, once one of them was read in full.

    The bytes before and after the words mean what they meant there, so that only the words have to be decoded.
    """

    __slots__ = ("_after", "_before", "_begin", "_end")

    def __init__(self) -> None:
        self._before, self._after = b"", b""
        self._begin = self._end = 0

    def fits(self, piece: bytes) -> bool:
        """Whether the piece is as the example was, but for its words."""
        begin, end = self._begin, self._end
        if not begin or piece[:begin] != self._before or piece[end:] != self._after:
            return False
        try:
            _decode_words(piece[begin - 1 : end + 1])  # the quotation marks are in what comes before and after
        except (DecodeError, UnicodeDecodeError):
            return False
        return True

    def learn(self, piece: bytes) -> None:
        """Take a piece as the example; one without plain words is none."""
        found = _WORDS.search(piece)
        if found is not None:
            self._begin, self._end = found.start(1), found.end(1) - len(piece)
            self._before, self._after = piece[: self._begin], piece[self._end :]
