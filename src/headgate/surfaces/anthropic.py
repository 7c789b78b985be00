"""Anthropic's surface: messages, as its SDKs expect them."""

from __future__ import annotations

from headgate.dialects import anthropic_messages, anthropic_messages_writer
from headgate.surfaces.edge import Endpoint

MESSAGES = Endpoint(
    "anthropic.messages",
    "anthropic",
    anthropic_messages.parse,
    anthropic_messages_writer.Writer,
    anthropic_messages_writer.whole,
    forwarded=anthropic_messages.forwarded,
)
