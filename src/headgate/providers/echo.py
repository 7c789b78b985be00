"""Echo: the built-in provider that needs no key and no network. It repeats what it was told, and says so.

It makes a fresh installation answer, and gives tests and front ends something that streams. It embeds too: without a
model, by counting words, so that texts with words in common are near each other and no vector means anything more.
"""

from __future__ import annotations

import asyncio
import re
from math import sqrt
from typing import ClassVar
from zlib import crc32

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.events import Begin, Done, Text, Usage
from headgate.core.faults import Unsupported
from headgate.core.seams import Events, Provider, Wire
from headgate.providers import _http

DIMENSIONS = 64
MOST_DIMENSIONS = 1024

_WORDS = re.compile(r"\s*\S+\s*")
_NAMES = re.compile(r"\w+")


class Options(_http.Options):
    """`delay` is the pause between two words of a stream, in seconds."""

    default_model: ClassVar[str] = "echo"

    delay: float = 0.0


class Echo:
    """Answers with the last words of the user. A word counts as a token, and costs nothing."""

    def __init__(self, options: Options) -> None:
        self._delay = options.delay

    async def events(self, call: Call) -> Events:
        """The user's last message, word for word, cut at `max_tokens` words."""
        prompt = call.prompt
        said = [message.text for message in prompt.messages if message.role == "user"]
        words = _WORDS.findall(f"You said: {said[-1] if said else ''}")
        kept = words[: call.max_tokens] if call.max_tokens else words
        yield Begin(f"echo-{call.id}", call.model)
        for choice in range(call.n):
            for word in kept:
                if call.stream:
                    await asyncio.sleep(self._delay)
                yield Text(word, choice)
            yield Done("length" if len(kept) < len(words) else "stop", choice)
        tokens_in = sum(len(message.text.split()) for message in prompt.messages)
        yield Usage(tokens_in, len(kept) * call.n)

    async def embed(self, call: EmbedCall) -> Embedded:
        """A vector of 64 numbers for each input, and of length 1: its words, whatever their case, hashed and counted.

        Raises Unsupported for more than 1,024 dimensions.
        """
        size = call.dimensions or DIMENSIONS
        if size > MOST_DIMENSIONS:
            raise Unsupported(f"echo embeds in at most {MOST_DIMENSIONS} dimensions", field="dimensions")
        inputs = [
            _NAMES.findall(item.lower()) if isinstance(item, str) else list(map(str, item)) for item in call.inputs
        ]
        return Embedded([_vector(words, size) for words in inputs], Usage(sum(map(len, inputs)), 0), call.model)


def _vector(words: list[str], size: int) -> list[float]:
    """Feature hashing (https://arxiv.org/abs/0902.2206): each word adds or takes 1 at a place that its hash says."""
    vector = [0.0] * size
    for word in words:
        place, sign = divmod(crc32(word.encode()), 2)
        vector[place % size] += 1.0 if sign else -1.0
    length = sqrt(sum(number * number for number in vector))
    if not length:
        return [1.0, *vector[1:]]
    return [number / length for number in vector]


def connect(options: Options, wire: Wire) -> Provider:  # noqa: ARG001 - every provider's `connect` has this form
    """The provider that these settings describe."""
    return Echo(options)
