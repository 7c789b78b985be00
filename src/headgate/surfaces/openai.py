"""OpenAI's surface: chat completions, the older completions, and embeddings, as its SDKs expect them."""

from __future__ import annotations

from headgate.core.call import Call
from headgate.core.entry import Entry
from headgate.core.events import Open
from headgate.core.principal import Principal
from headgate.dialects import (
    openai_chat,
    openai_chat_writer,
    openai_completions,
    openai_completions_writer,
    openai_embeddings,
)
from headgate.engine.gate import Gate
from headgate.surfaces.edge import Endpoint, OneShot

CHAT_COMPLETIONS = Endpoint(
    "openai.chat",
    "openai",
    openai_chat.parse,
    openai_chat_writer.Writer,
    openai_chat_writer.whole,
    openai_chat.glance,
)

COMPLETIONS = Endpoint(
    "openai.completions",
    "openai",
    openai_completions.parse,
    openai_completions_writer.Writer,
    openai_completions_writer.whole,
)


async def embed(gate: Gate, who: Principal, call: Call) -> tuple[Open, Entry, bytes]:
    """Vectors for the texts of the call. Raises Faults."""
    opened, embedded, entry = await gate.embed(who, call, openai_embeddings.parse(call.fields))
    return opened, entry, openai_embeddings.whole(call.fields, embedded, entry)


EMBEDDINGS = OneShot("openai.embeddings", "openai", openai_embeddings.envelope, embed)
