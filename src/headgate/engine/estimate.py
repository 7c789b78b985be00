"""How many tokens a prompt has, for models that nobody can be asked about: an estimate, and told as one.

Four bytes of UTF-8 are taken for a token, which is near for English and high for little else; a longer prompt never
counts less than a shorter one.
"""

from __future__ import annotations

import msgspec

from headgate.core.call import (
    CallPart,
    MediaPart,
    Message,
    Part,
    Prompt,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
)

BYTES = 4
"""Bytes of text a token."""
TURN = 4
"""Tokens around each turn and each tool."""
MEDIA = 1600
"""Tokens of an image or a file: about what vendors take for a picture of 1.15 megapixels."""

_encode = msgspec.json.Encoder().encode


def tokens_of(prompt: Prompt) -> int:
    """The tokens of the messages, the tools and the wanted format; at least 1."""
    tokens = sum(_message(message) for message in prompt.messages)
    tokens += sum(
        TURN + _text(tool.name + tool.description) + _json(tool.schema or tool.extra) for tool in prompt.tools
    )
    if prompt.format is not None and prompt.format.schema is not None:
        tokens += _json(prompt.format.schema)
    return max(1, tokens)


def _message(message: Message) -> int:
    return TURN + sum(map(_part, message.parts))


def _part(part: Part) -> int:
    match part:
        case TextPart() | RefusalPart():
            return _text(part.text)
        case ThinkingPart():
            return _text(part.text + part.redacted)
        case CallPart():
            return TURN + _text(part.name + part.arguments)
        case ResultPart():
            return TURN + sum(map(_part, part.parts))
        case MediaPart():
            return MEDIA


def _text(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES)


def _json(value: object) -> int:
    return -(-len(_encode(value)) // BYTES)
