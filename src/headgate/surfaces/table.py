"""The table of the paths that ask a model."""

from __future__ import annotations

from msgspec.structs import replace

from headgate.config import Config
from headgate.dialects import simple
from headgate.surfaces.anthropic import MESSAGES
from headgate.surfaces.edge import Endpoint
from headgate.surfaces.openai import CHAT_COMPLETIONS
from headgate.surfaces.responses import RESPONSES


def endpoints(config: Config) -> dict[str, Endpoint]:
    """Every model endpoint by its path; all of them are POST."""
    most = config.server.max_prompt_chars
    chat, complete, generate = (
        replace(shape, max_chars=most) for shape in (simple.CHAT, simple.COMPLETE, simple.GENERATE)
    )
    return {
        "/chat": Endpoint("chat", "simple", chat.parse, chat.writer, chat.whole),
        "/complete": Endpoint("complete", "simple", complete.parse, complete.writer, complete.whole, stream=False),
        "/stream": Endpoint("stream", "simple", complete.parse, complete.writer, complete.whole, stream=True),
        "/generate": Endpoint("generate", "simple", generate.parse, generate.writer, generate.whole, stream=False),
        "/v1/chat/completions": CHAT_COMPLETIONS,
        "/v1/messages": MESSAGES,
        "/v1/responses": RESPONSES,
    }
