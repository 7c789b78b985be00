"""Echo: the built-in provider that needs no key and no network. It repeats what it was told, and says so.

It makes a fresh installation answer, and gives tests and front ends something that streams.
"""

from __future__ import annotations

import asyncio
import re
from typing import ClassVar

from headgate.core.call import Call
from headgate.core.events import Begin, Done, Text, Usage
from headgate.core.seams import Events, Provider, Wire
from headgate.providers import _http

_WORDS = re.compile(r"\s*\S+\s*")


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


def connect(options: Options, wire: Wire) -> Provider:  # noqa: ARG001 - every provider's `connect` has this form
    """The provider that these settings describe."""
    return Echo(options)
