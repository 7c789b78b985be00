"""The shapes of OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses).

Only the main fields are named. Others are never refused: they travel unchanged where the provider speaks the same
dialect, and so do the fields of its answer.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from headgate.surfaces.schemas import MOST_TOKENS, Count, Strict
from headgate.surfaces.schemas_openai import Loose

_BY_TYPE = "By its `type`: `message` with `content`, `reasoning` with a `summary`, `function_call`, …"


class InputItem(Loose):
    """Something that was said before; which of the fields it has is told by `type`."""

    type: str | None = Field(
        None, description="`message` (the default), `function_call`, `function_call_output`, `reasoning`, …"
    )
    role: Literal["user", "assistant", "system", "developer"] | None = Field(None, description="For `message`.")
    content: str | list[dict[str, Any]] | None = Field(
        None, description="For `message`: text, or parts such as `input_text`, `input_image`, `input_file`."
    )
    call_id: str | None = Field(None, description="Which call this is, or answers.")
    output: str | list[dict[str, Any]] | None = Field(None, description="For `function_call_output`.")


class ResponseTool(Loose):
    """A function that the model may call, or a tool of OpenAI's own."""

    type: str = Field(description="`function`; others work only where the provider is OpenAI.")
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = Field(None, description="JSON Schema of its arguments.")
    strict: bool | None = None


class ResponsesRequest(Loose):
    """Items for a model."""

    input: str | list[InputItem] | None = Field(
        None, description="What the user says, or the conversation so far, oldest first."
    )
    model: str | None = Field(
        None,
        description="A model's public name, or `provider/model` where your tier allows it; default: the operator's.",
    )
    instructions: str | None = Field(None, description="A system message; not carried over to later responses.")
    previous_response_id: str | None = Field(None, description="A kept response of yours to go on from.")
    store: bool | None = Field(None, description="Whether to keep the response for thirty days; default: true.")
    stream: bool | None = Field(None, description="Whether to answer with Server-Sent Events while the model speaks.")
    stream_options: dict[str, Any] | None = None
    max_output_tokens: int | None = Field(
        None, ge=1, le=MOST_TOKENS, description="Most tokens that the answer may have, reasoning included."
    )
    max_tool_calls: int | None = Field(None, ge=1, le=MOST_TOKENS, description="Of OpenAI's own tools.")
    temperature: float | None = Field(None, ge=0, le=2, description="Randomness; default: the model's own.")
    top_p: float | None = Field(None, ge=0, le=1, description="Consider only the likeliest tokens of this mass.")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="For how many of the likeliest tokens.")
    tools: list[ResponseTool] | None = Field(None, description="What the model may call.")
    tool_choice: str | dict[str, Any] | None = Field(
        None, description="`auto`, `none`, `required`, or an object that names a function or the allowed tools."
    )
    parallel_tool_calls: bool | None = Field(None, description="Whether the model may call several tools at once.")
    text: dict[str, Any] | None = Field(None, description="The `format` of the answer, and its `verbosity`.")
    reasoning: dict[str, Any] | None = Field(None, description="The `effort`, and whether to tell a `summary`.")
    include: list[str] | None = Field(None, description="What else to tell, such as `message.output_text.logprobs`.")
    truncation: str | None = Field(None, description="`auto` or `disabled`.")
    metadata: dict[str, Any] | None = Field(None, description="Yours; comes back with the response.")
    prompt: dict[str, Any] | None = Field(None, description="A prompt stored at OpenAI; works only there.")
    user: str | None = Field(None, description="Your own name for the end user, passed on to the provider.")
    safety_identifier: str | None = Field(None, description="The newer name of `user`.")
    prompt_cache_key: str | None = Field(None, description="Whose prompts are alike, for the provider's cache.")
    service_tier: str | None = Field(None, description="The provider's.")
    background: Literal[False] | None = Field(None, description="Responses are not made in the background here.")
    conversation: None = Field(None, description="Not kept here: use `previous_response_id`.")


class ResponseUsage(Loose):
    """Tokens used. Other fields are the provider's own."""

    input_tokens: Count = Field(description="Tokens of the whole prompt, cached ones included.")
    output_tokens: Count = Field(description="Tokens of the answer, reasoning included.")
    total_tokens: Count
    input_tokens_details: dict[str, Any] | None = Field(None, description="`cached_tokens` among others.")
    output_tokens_details: dict[str, Any] | None = Field(None, description="`reasoning_tokens` among others.")
    cost_usd: float | None = Field(
        None, description="What the call cost, in US dollars, where Headgate wrote the body; else it is in the header."
    )


class ResponseObject(Loose):
    """An answer. The request's parameters come back in it."""

    id: str = Field(description="By which it can be gone on from, fetched and deleted, if it was kept.")
    object: Literal["response"]
    created_at: int | float = Field(description="Seconds since the epoch.")
    status: str = Field(description="`completed`, `incomplete`, `failed`, or while it is made `in_progress`.")
    model: str = Field(description="The model that answered, by its provider's name for it.")
    output: list[dict[str, Any]] = Field(description=_BY_TYPE)
    usage: ResponseUsage | None = None
    error: dict[str, Any] | None = Field(None, description="Why it failed.")
    incomplete_details: dict[str, Any] | None = Field(
        None, description="The `reason`: `max_output_tokens` or `content_filter`."
    )


class ResponseState(Loose):
    """An answer begins or ends."""

    type: Literal[
        "response.created", "response.in_progress", "response.completed", "response.incomplete", "response.failed"
    ]
    sequence_number: Count
    response: ResponseObject


class ResponseItemEvent(Loose):
    """An item begins or ended."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    sequence_number: Count
    output_index: Count
    item: dict[str, Any] = Field(description=_BY_TYPE)


class ResponsePiece(Loose):
    """A part of an item begins or ended, or has a next piece: `delta`."""

    type: str = Field(description="Such as `response.output_text.delta` or `response.function_call_arguments.done`.")
    sequence_number: Count
    output_index: Count
    item_id: str
    delta: str | None = None


class ResponseErrorEvent(Loose):
    """The answer broke off; nothing comes after it."""

    type: Literal["error"]
    sequence_number: Count
    code: str | None
    message: str
    param: str | None


class InputItemList(Strict):
    """A page of what led to a response."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ResponseDeleted(Strict):
    """The response is forgotten."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


EVENTS = (ResponseState, ResponseItemEvent, ResponsePiece, ResponseErrorEvent)
