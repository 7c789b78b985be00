"""The shapes of Anthropic's surface (https://platform.claude.com/docs/en/api/messages).

Only the main fields are named. Others are never refused: they travel unchanged where the provider speaks the same
dialect, and so do the fields of its answer.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from headgate.surfaces.schemas import MOST_TOKENS, Count
from headgate.surfaces.schemas_openai import Loose


class ContentBlock(Loose):
    """A block of content; which other fields it has is told by `type`."""

    type: str = Field(
        description="`text`, `image`, `document`, `thinking`, `tool_use`, `tool_result`, or another the model knows."
    )
    text: str = Field(default_factory=str, description="For `text`.")


class Turn(Loose):
    """One turn."""

    role: Literal["user", "assistant", "system"]
    content: str | list[ContentBlock]


class MessagesTool(Loose):
    """A tool of the caller's."""

    name: str = Field(default_factory=str)
    description: str | None = Field(None, description="What it does, for the model.")
    input_schema: dict[str, Any] = Field(default_factory=dict, description="JSON Schema of its input.")


class CountRequest(Loose):
    """Messages whose tokens are to be counted."""

    model: str = Field(
        min_length=1, description="A model's public name, or `provider/model` where your tier allows it."
    )
    messages: list[Turn] = Field(min_length=1, description="The conversation so far, oldest first.")
    system: str | list[ContentBlock] | None = Field(None, description="Instructions for the model.")
    tools: list[MessagesTool] | None = Field(None, description="What the model may call.")
    tool_choice: dict[str, Any] | None = Field(
        None, description="`type`: `auto`, `any`, `none`, or `tool` with a `name`; and `disable_parallel_tool_use`."
    )
    thinking: dict[str, Any] | None = Field(None, description="`type`, and `budget_tokens`.")
    output_config: dict[str, Any] | None = Field(None, description="`effort`, and `format`, a JSON Schema.")


class TokenCount(Loose):
    """How many tokens the model reads."""

    input_tokens: Count = Field(description="Tokens of the messages, the system prompt and the tools.")


class MessagesRequest(CountRequest):
    """Messages for a model."""

    max_tokens: int = Field(ge=0, le=MOST_TOKENS, description="Most tokens that the answer may have.")
    stream: bool | None = Field(None, description="Whether to answer with Server-Sent Events while the model speaks.")
    temperature: float | None = Field(None, ge=0, le=1, description="Randomness; default: the model's own.")
    top_p: float | None = Field(None, ge=0, le=1, description="Consider only the likeliest tokens of this mass.")
    top_k: int | None = Field(None, ge=0, le=MOST_TOKENS, description="Consider only so many of the likeliest tokens.")
    stop_sequences: list[str] | None = Field(None, description="Texts at which the answer ends.")
    metadata: dict[str, Any] | None = Field(None, description="`user_id`: your own name for the end user.")


class MessageUsage(Loose):
    """Tokens used."""

    input_tokens: Count = Field(description="Tokens of the prompt, without those read from or written to a cache.")
    output_tokens: Count = Field(description="Tokens of the answer, thinking included.")
    cache_creation_input_tokens: int | None = Field(None, ge=0)
    cache_read_input_tokens: int | None = Field(None, ge=0)


class AnthropicMessage(Loose):
    """A whole answer."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str = Field(description="The model that answered, by its provider's name for it.")
    content: list[ContentBlock]
    stop_reason: str | None = Field(
        description="`end_turn`, `max_tokens`, `stop_sequence`, `tool_use`, `refusal`, `pause_turn`, or another word."
    )
    stop_sequence: str | None = Field(None, description="The text at which it ended.")
    usage: MessageUsage


class MessageStart(Loose):
    """An answer begins."""

    type: Literal["message_start"]
    message: AnthropicMessage = Field(description="As far as it is known: without content.")


class ContentBlockStart(Loose):
    """A block begins."""

    type: Literal["content_block_start"]
    index: Count
    content_block: ContentBlock


class ContentBlockDelta(Loose):
    """The next piece of a block."""

    type: Literal["content_block_delta"]
    index: Count
    delta: dict[str, Any] = Field(description="By its `type`: `text_delta`, `thinking_delta`, `input_json_delta`, …")


class ContentBlockStop(Loose):
    """A block ended."""

    type: Literal["content_block_stop"]
    index: Count


class MessageDelta(Loose):
    """What is known of the whole answer at its end."""

    type: Literal["message_delta"]
    delta: dict[str, Any] = Field(description="`stop_reason` and `stop_sequence`.")
    usage: dict[str, Any] = Field(description="As in a whole answer; where Headgate wrote it, `cost_usd` too.")


class MessageStop(Loose):
    """The answer is whole."""

    type: Literal["message_stop"]


class Ping(Loose):
    """The model is silent still."""

    type: Literal["ping"]


EVENTS = (MessageStart, ContentBlockStart, ContentBlockDelta, ContentBlockStop, MessageDelta, MessageStop, Ping)
