"""Anthropic's surface: messages, and the counting of their tokens, as its SDKs expect them."""

from __future__ import annotations

from headgate.core.call import Call
from headgate.core.entry import Entry
from headgate.core.events import Open
from headgate.core.principal import Principal
from headgate.dialects import anthropic_messages, anthropic_messages_writer
from headgate.engine.gate import Gate
from headgate.surfaces.edge import Endpoint, OneShot

MESSAGES = Endpoint(
    "anthropic.messages",
    "anthropic",
    anthropic_messages.parse,
    anthropic_messages_writer.Writer,
    anthropic_messages_writer.whole,
    forwarded=anthropic_messages.forwarded,
)


async def count(gate: Gate, who: Principal, call: Call) -> tuple[Open, Entry, bytes]:
    """The tokens of the call's prompt. Raises Faults."""
    opened, tokens, entry = await gate.count(who, call)
    return opened, entry, anthropic_messages_writer.write_count(tokens)


COUNT_TOKENS = OneShot(
    "anthropic.count_tokens",
    "anthropic",
    anthropic_messages.parse_count,
    count,
    forwarded=anthropic_messages.forwarded,
)
