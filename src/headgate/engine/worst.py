"""The worst case: the most tokens and money that a call may use, known before it is made.

A token has at least one byte, so the text of a request bounds its tokens. Media are not text: an image counts as the
most that any vendor makes of one, sound by its length at the lowest bit rate. A compressed document has no such bound;
it counts as its bytes, up to `DOCUMENT`. What a vendor's own tools add while they run (searches, pages read) cannot be
known, and a price that is unknown counts as nothing: list it under `[prices]` where money is capped.

The answer is bounded by what the caller asked for. Where it asked for nothing and tokens or money are capped, a bound
is set for it and told to the upstream, since no cap holds over an answer of any length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headgate.core.call import Call, MediaPart, Prompt, ResultPart, System
from headgate.core.faults import Fault
from headgate.core.limit import Want
from headgate.core.money import Price
from headgate.engine.prices import Prices
from headgate.engine.routing import Route

UNBOUNDED_ANSWER = 8192
"""Tokens of an answer whose caller named no bound, where tokens or money are capped and the model has no default."""

SHARE = 4
"""One such answer may take a quarter of a cap: more would keep the others out until it has ended."""

LEAST = 64
IMAGE = 16_384
IMAGES = {"4o-mini": 50_000}
"""Models that count an image as more: 2,833 + 8 x 5,667 tokens (https://platform.openai.com/docs/guides/images)."""

AUDIO_BYTES = 16
"""Base64 bytes a token of sound: 32 tokens a second (https://ai.google.dev/gemini-api/docs/tokens) at 6 kbit/s."""

DOCUMENT = 100_000
TOOLS = 1024
"""What vendors say to a model about its tools, on top of their definitions."""

_encode = msgspec.json.Encoder().encode


def worst_case(
    call: Call, route: Route, system: System | None, metered: Sequence[Want], prices: Prices
) -> tuple[int, int]:
    """Tokens and nano-USD at the dearest of the route's targets; sets a bound on the answer where there must be one.

    `metered` are the rules on tokens and money that the call is under. Without any nothing is computed.
    """
    if call.max_tokens is None and route.default_max_tokens is not None:
        call.bound(route.default_max_tokens)
    if route.max_tokens is not None and (call.max_tokens is None or call.max_tokens > route.max_tokens):
        call.bound(route.max_tokens)
    if not metered:
        return 0, 0
    tokens_in = most_tokens_in(call, route) + (len(system.text.encode()) if system is not None else 0)
    found = (prices.find(target.upstream.name, target.model) for target in route.targets)
    priced = [price for price in found if price is not None]
    if call.max_tokens is None:
        call.bound(_affordable(tokens_in, call.n, metered, priced))
    tokens_out = (call.max_tokens or 0) * call.n
    return tokens_in + tokens_out, max((price.most(tokens_in, tokens_out) for price in priced), default=0)


def most_tokens_in(call: Call, route: Route) -> int:
    """The most tokens that the caller's words and media may be."""
    plain = _is_text(call.body)
    tools = TOOLS if (not plain or b'"tools"' in call.body) and "tools" in call.fields else 0
    if plain:
        return len(call.body) + tools
    try:
        prompt = call.prompt
    except Fault:  # only an upstream of the caller's own dialect knows what it means
        return len(call.body) + DOCUMENT + tools
    size = len(call.body) or len(_encode(prompt))
    return tools + size + sum(_tokens(media, route) - len(media.data) for media in media_of(prompt))


def text_bytes(call: Call) -> int:
    """The bytes of what the caller said, without media: what an estimate of its tokens is made from."""
    if _is_text(call.body):
        return len(call.body)
    try:
        prompt = call.prompt
    except Fault:
        return len(call.body)
    return (len(call.body) or len(_encode(prompt))) - sum(len(media.data) for media in media_of(prompt))


def _is_text(body: bytes) -> bool:
    """Whether nothing but text is in a body: every other part says its type, unless by numbers."""
    return bool(body) and b'"type"' not in body and b"\\u" not in body


def media_of(prompt: Prompt) -> Iterable[MediaPart]:
    """Every image, sound and file of a prompt, those in the results of tools too."""
    for message in prompt.messages:
        for part in message.parts:
            if isinstance(part, MediaPart):
                yield part
            elif isinstance(part, ResultPart):
                yield from (inner for inner in part.parts if isinstance(inner, MediaPart))


def _tokens(media: MediaPart, route: Route) -> int:
    if media.kind == "image" or media.mime.startswith("image/"):
        return max(
            (most for name, most in IMAGES.items() if any(name in t.model for t in route.targets)), default=IMAGE
        )
    if not media.data:
        return DOCUMENT
    if media.kind == "audio" or media.mime.startswith("audio/"):
        return len(media.data) // AUDIO_BYTES
    return len(media.data) if media.mime.startswith("text/") else min(DOCUMENT, len(media.data))


def _affordable(tokens_in: int, n: int, metered: Sequence[Want], priced: Sequence[Price]) -> int:
    """The longest answer that is sensible to reserve for a caller who named no bound."""
    most = UNBOUNDED_ANSWER
    for want in metered:
        share = want.limit // SHARE
        if want.kind == "tokens":
            most = min(most, (share - tokens_in) // n)
            continue
        for price in priced:
            dear = price.most(0, 1_000_000) * n
            if dear:
                most = min(most, (share - price.most(tokens_in, 0)) * 1_000_000 // dear)
    return max(LEAST, most)
