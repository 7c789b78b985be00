"""A glance at an answer of OpenAI's dialect that is passed on: no more of it is read than must be known.

To decode only these fields costs a third of decoding all; what is read lives too shortly to be a matter for the garbage
collector. Whatever is not quite so plain is for the Readers.
"""

from __future__ import annotations

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
    finish_reason: None = None
    error: None = None


class _Chunk(Struct, gc=False):
    choices: Annotated[list[_Piece], Meta(min_length=1, max_length=1)]
    usage: None = None
    x_groq: None = None
    error: None = None


_decode = json.Decoder(_Answer).decode
_decode_chunk = json.Decoder(_Chunk).decode


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
        _decode_chunk(chunk)
        if not chunk.isascii():
            chunk.decode()  # what is passed over is not checked
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
