"""OpenAI's surface: chat completions and the list of models, as its SDKs expect them."""

from __future__ import annotations

from headgate.dialects import openai_chat, openai_chat_writer
from headgate.surfaces.edge import Endpoint

CHAT_COMPLETIONS = Endpoint(
    "openai.chat",
    "openai",
    openai_chat.parse,
    openai_chat_writer.Writer,
    openai_chat_writer.whole,
)
