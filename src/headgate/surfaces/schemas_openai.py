"""The shapes of OpenAI's surface (https://platform.openai.com/docs/api-reference/chat).

Only the main fields are named. Others are never refused: they travel unchanged where the provider speaks the same
dialect, and so do the fields of its answer.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from headgate.surfaces.schemas import MOST_TOKENS, Count, Strict


class Loose(BaseModel):
    """An object that may have other fields."""

    model_config = ConfigDict(extra="allow")


class ContentPart(Loose):
    """A part of a message; which of the fields it has is told by `type`."""

    type: str = Field(description="`text`, `image_url`, `input_audio`, `file`, or another that the model knows.")
    text: str = Field(default_factory=str, description="For `text`.")
    image_url: dict[str, Any] | str = Field(
        default_factory=dict, description="For `image_url`: `url`, an address or a `data:` URL, and `detail`."
    )
    input_audio: dict[str, Any] = Field(
        default_factory=dict, description="For `input_audio`: `data` in base64, and its `format`."
    )
    file: dict[str, Any] = Field(
        default_factory=dict, description="For `file`: `filename` and `file_data`, a `data:` URL; or a `file_id`."
    )


class FunctionCall(Loose):
    """Which function the model calls, and how."""

    name: str
    arguments: str = Field("", description="JSON text, as the model wrote it: it may be wrong.")


class ToolCall(Loose):
    """A call of one of the caller's tools."""

    id: str
    type: str = Field("function", description="`function`.")
    function: FunctionCall


class ChatMessage(Loose):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = Field(
        None, description="What was said. Only an assistant's may be null or left out, when it called tools."
    )
    name: str | None = Field(None, description="Who of several speaks in this role.")
    tool_calls: list[ToolCall] | None = Field(None, description="The tools that the assistant called.")
    tool_call_id: str | None = Field(None, description="In a `tool` turn: the call that it answers.")


class Function(Loose):
    """A function that the model may call."""

    name: str
    description: str | None = Field(None, description="What it does, for the model.")
    parameters: dict[str, Any] | None = Field(None, description="JSON Schema of its arguments.")
    strict: bool | None = Field(None, description="Whether the arguments must fit the schema.")


class ChatTool(Loose):
    """A tool of the caller's."""

    type: str = Field("function", description="`function`, or another that the model knows.")
    function: Function | None = None


class ResponseFormat(Loose):
    """The form of the answer."""

    type: str = Field(description="`text`, `json_object` or `json_schema`.")
    json_schema: dict[str, Any] | None = Field(
        None, description="For `json_schema`: `name`, `schema`, and whether it is `strict`."
    )


class StreamOptions(Loose):
    """What a stream carries."""

    include_usage: bool | None = Field(None, description="Whether the last chunk before `[DONE]` carries the usage.")


class ChatCompletionRequest(Loose):
    """Messages for a model."""

    messages: list[ChatMessage] = Field(min_length=1, description="The conversation so far, oldest first.")
    model: str | None = Field(
        None,
        description="A model's public name, or `provider/model` where your tier allows it; default: the operator's.",
    )
    stream: bool | None = Field(None, description="Whether to answer with Server-Sent Events while the model speaks.")
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(
        None, ge=1, le=MOST_TOKENS, description="Most tokens that the answer may have, reasoning included."
    )
    max_tokens: int | None = Field(
        None, ge=1, le=MOST_TOKENS, description="The older name; `max_completion_tokens` wins."
    )
    temperature: float | None = Field(None, ge=0, le=2, description="Randomness; default: the model's own.")
    top_p: float | None = Field(None, ge=0, le=1, description="Consider only the likeliest tokens of this mass.")
    n: int | None = Field(None, ge=1, le=128, description="How many answers.")
    stop: str | list[str] | None = Field(None, description="Texts at which the answer ends.")
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1, description="For answers that repeat, where it can.")
    tools: list[ChatTool] | None = Field(None, description="What the model may call.")
    tool_choice: str | dict[str, Any] | None = Field(
        None, description="`auto`, `none`, `required`, or an object that names a function."
    )
    parallel_tool_calls: bool | None = Field(None, description="Whether the model may call several tools at once.")
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = Field(
        None, description="How much to think: `none`, `minimal`, `low`, `medium`, `high`, or the model's own words."
    )
    presence_penalty: float | None = Field(None, ge=-2, le=2, description="Against what was already spoken of.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2, description="Against repeating tokens.")
    logprobs: bool | None = Field(None, description="Whether to tell the tokens' log probabilities.")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="For how many of the likeliest tokens.")
    user: str | None = Field(None, description="Your own name for the end user, passed on to the provider.")


class CompletionRequest(Loose):
    """A prompt for a model to go on from."""

    prompt: str | list[str] | list[int] | list[list[int]] = Field(
        description="A text, several, the token ids of one, or those of several."
    )
    model: str | None = Field(
        None,
        description="A model's public name, or `provider/model` where your tier allows it; default: the operator's.",
    )
    stream: bool | None = Field(None, description="Whether to answer with Server-Sent Events while the model speaks.")
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(
        None, ge=0, le=MOST_TOKENS, description="Most tokens that each answer may have; default: 16."
    )
    temperature: float | None = Field(None, ge=0, le=2, description="Randomness; default: the model's own.")
    top_p: float | None = Field(None, ge=0, le=1, description="Consider only the likeliest tokens of this mass.")
    n: int | None = Field(None, ge=1, le=128, description="How many answers to each prompt.")
    best_of: int | None = Field(None, ge=1, le=128, description="Of how many the likeliest `n` are taken.")
    echo: bool | None = Field(None, description="Whether the prompt stands before the answer.")
    suffix: str | None = Field(None, description="The text that comes after the answer.")
    logprobs: int | None = Field(None, ge=0, le=20, description="Tell log probabilities, of so many likeliest tokens.")
    stop: str | list[str] | None = Field(None, description="Texts at which the answer ends.")
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1, description="For answers that repeat, where it can.")
    presence_penalty: float | None = Field(None, ge=-2, le=2, description="Against what was already spoken of.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2, description="Against repeating tokens.")
    user: str | None = Field(None, description="Your own name for the end user, passed on to the provider.")


class AnswerMessage(Loose):
    """What the model said."""

    role: Literal["assistant"]
    content: str | None = Field(None, description="The answer; null where the model only calls tools.")
    refusal: str | None = Field(None, description="The words that decline the request.")
    reasoning_content: str | None = Field(None, description="The model's reasoning, where the provider tells it.")
    tool_calls: list[ToolCall] | None = Field(None, description="The tools that the model calls.")


class AnswerChoice(Loose):
    """One answer."""

    index: Count
    message: AnswerMessage
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = Field(
        description="`stop`, `length`, `tool_calls`, `content_filter`, or the provider's own word."
    )


class CompletionUsage(Loose):
    """Tokens used. Other fields are the provider's own."""

    prompt_tokens: Count = Field(description="Tokens of the whole prompt, cached ones included.")
    completion_tokens: Count = Field(description="Tokens of the answers, reasoning included.")
    total_tokens: Count
    prompt_tokens_details: dict[str, Any] | None = Field(None, description="`cached_tokens` among others.")
    completion_tokens_details: dict[str, Any] | None = Field(None, description="`reasoning_tokens` among others.")
    cost_usd: float | None = Field(
        None, description="What the call cost, in US dollars, where Headgate wrote the body; else it is in the header."
    )


class ChatCompletion(Loose):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int = Field(description="Seconds since the epoch.")
    model: str = Field(description="The model that answered, by its provider's name for it.")
    choices: list[AnswerChoice]
    usage: CompletionUsage | None = None


class CompletionChoice(Loose):
    """One answer to one prompt, or the next piece of it."""

    text: str
    index: Count = Field(description="Counts the answers; those to the first prompt come first.")
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = Field(
        None, description="`stop`, `length`, `content_filter`, or the provider's own word; null before the end."
    )


class Completion(Loose):
    """An answer that goes on from a prompt; streamed, a piece of it."""

    id: str
    object: Literal["text_completion"]
    created: int = Field(description="Seconds since the epoch.")
    model: str = Field(description="The model that answered, by its provider's name for it.")
    choices: list[CompletionChoice] = Field(description="Empty in the piece that carries the usage of a stream.")
    usage: CompletionUsage | None = None


class ToolCallPiece(Loose):
    """The beginning of a tool call, or more of its arguments."""

    index: Count = Field(description="Which of the calls it belongs to.")
    id: str | None = None
    type: str | None = None
    function: dict[str, Any] | None = Field(None, description="`name` at the beginning, then pieces of `arguments`.")


class AnswerDelta(Loose):
    """What is new."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallPiece] | None = None


class ChunkChoice(Loose):
    """The next piece of one answer."""

    index: Count
    delta: AnswerDelta
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = Field(None, description="Set in the last piece of each answer; null before.")


class ChatCompletionChunk(Loose):
    """A piece of a streamed answer: the JSON of one `data:` line."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int = Field(description="Seconds since the epoch.")
    model: str
    choices: list[ChunkChoice] = Field(description="Empty in the chunk that carries the usage.")
    usage: CompletionUsage | None = None


class Model(Strict):
    """A model, as OpenAI's and Anthropic's SDKs read it."""

    id: str = Field(description="The name to ask for it by.")
    object: Literal["model"]
    created: int = Field(description="When this process started, in seconds since the epoch.")
    owned_by: str = Field(description="The provider that is tried first.")
    type: Literal["model"]
    display_name: str
    created_at: str = Field(description="The same as `created`, as an RFC 3339 time.")


class ModelList(Strict):
    """The models that the caller may ask for."""

    object: Literal["list"]
    data: list[Model]
    has_more: Literal[False]
    first_id: str | None
    last_id: str | None
