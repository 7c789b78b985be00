"""The table of the paths that ask a model."""

from __future__ import annotations

from msgspec.structs import replace

from headgate.config import Config
from headgate.dialects import simple
from headgate.surfaces.anthropic import COUNT_TOKENS, MESSAGES
from headgate.surfaces.asking import GENERATE, asking, generating
from headgate.surfaces.edge import Endpoint, OneShot
from headgate.surfaces.openai import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS
from headgate.surfaces.responses import RESPONSES


def endpoints(config: Config) -> dict[str, Endpoint | OneShot]:
    """Every model endpoint by its path; all of them are POST."""
    most = config.server.max_prompt_chars
    chat, complete = (replace(shape, max_chars=most) for shape in (simple.CHAT, simple.COMPLETE))
    generate = replace(GENERATE, max_chars=most)
    return {
        "/chat": Endpoint("chat", "simple", chat.parse, chat.writer, chat.whole),
        "/complete": Endpoint("complete", "simple", complete.parse, complete.writer, complete.whole, stream=False),
        "/stream": Endpoint("stream", "simple", complete.parse, complete.writer, complete.whole, stream=True),
        "/generate": generating(generate),
        "/ask": asking(most),
        "/ask/stream": asking(most, stream=True),
        "/v1/chat/completions": CHAT_COMPLETIONS,
        "/v1/completions": COMPLETIONS,
        "/v1/embeddings": EMBEDDINGS,
        "/v1/messages": MESSAGES,
        "/v1/messages/count_tokens": COUNT_TOKENS,
        "/v1/responses": RESPONSES,
    }
