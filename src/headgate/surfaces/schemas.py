"""The shapes of requests and replies, for the documentation and for routes outside the hot path.

The dialects decide what is really accepted and sent; a test holds these models to them. Requests of the simple surface
refuse unknown fields. Times are seconds since the epoch unless said otherwise, money is US dollars.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from headgate.dialects.simple import MAX_CHARS
from headgate.surfaces.faults import TABLE

CODES: list[JsonValue] = [*sorted({kind.code for kind in TABLE})]
OPENAI_TYPES: list[JsonValue] = [*sorted({row.openai for row in TABLE.values()})]
ANTHROPIC_TYPES: list[JsonValue] = [*sorted({row.anthropic for row in TABLE.values()})]
MOST_TOKENS = 10_000_000

Count = Annotated[int, Field(ge=0)]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "error", "other"]


class Untitled(GenerateJsonSchema):
    """JSON Schema without what says nothing: titles that repeat a field's name, and null as a default."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """A field's schema with its default, unless that is null."""
        made = super().default_schema(schema)
        if made.get("default", ...) is None:
            del made["default"]
        return made


class Strict(BaseModel):
    """An object without other fields."""

    model_config = ConfigDict(extra="forbid")


class Asking(Strict):
    """What every request of the simple surface may say."""

    model: str | None = Field(
        None,
        description="A model's public name, or `provider/model` where your tier allows it; default: the operator's.",
    )
    temperature: float | None = Field(None, ge=0, le=2, description="Randomness; default: the model's own.")
    max_tokens: int | None = Field(
        None, ge=1, le=MOST_TOKENS, description="Most tokens that the answer may have; default: what the model gives."
    )


class ChatRequest(Asking):
    """A message to a model, in `message` or in `prompt`, not in both."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"title": name, "required": [name]} for name in ("message", "prompt")]}
    )

    message: str = Field(
        default_factory=str, min_length=1, max_length=MAX_CHARS, description="What the user says to the model."
    )
    prompt: str = Field(
        default_factory=str, min_length=1, max_length=MAX_CHARS, description="Another name of `message`."
    )
    system_prompt: str | None = Field(
        None, description="Instructions for the model. Whether they stand beside the operator's own is your tier's."
    )
    conversation_id: None = Field(
        None, description="Reserved: conversations are not kept yet, and a value is refused as `unsupported`."
    )
    stream: bool | None = Field(None, description="Whether to answer with Server-Sent Events while the model speaks.")


class CompleteRequest(Asking):
    """A prompt."""

    prompt: str = Field(min_length=1, max_length=MAX_CHARS, description="What to complete.")
    temperature: float | None = Field(0, ge=0, le=2, description="Randomness; null: the model's own.")
    max_tokens: int | None = Field(
        512, ge=1, le=MOST_TOKENS, description="Most tokens that the answer may have; null: what the model gives."
    )


class GenerateRequest(CompleteRequest):
    """A prompt, with or without the knowledge base."""

    prompt: str = Field(min_length=1, max_length=MAX_CHARS, description="What to answer.")
    use_context: bool | None = Field(None, description="Whether to answer from the caller's documents, as `/ask` does.")
    collections: list[str] | None = Field(
        None, description="With `use_context`: where to look; default: all of the caller's collections."
    )


class Happened(Strict):
    """What happened, beside the answer's words."""

    model: str = Field(description="The model that answered, by its provider's name for it.")
    provider: str = Field(description="The provider that answered, by its name in the configuration.")
    cost_usd: float | None = Field(description="What the call cost, in US dollars; null: the price is unknown.", ge=0)
    latency_ms: float = Field(description="From the request to the end of the answer, in milliseconds.", ge=0)
    finish_reason: Finish = Field(description="Why the answer ended; `length`: `max_tokens` or the window was reached.")
    cached: bool = Field(description="Whether the answer came from Headgate's cache.")
    request_id: str = Field(description="The call's id, as in the `X-Request-Id` header.")


class ChatDone(Happened):
    """The end of a streamed `/chat` answer."""

    prompt_tokens: Count = Field(description="Tokens of the whole prompt.")
    completion_tokens: Count = Field(description="Tokens of the answer, reasoning included.")


class ChatReply(ChatDone):
    """A whole `/chat` answer."""

    response: str = Field(description="The answer.")


class Done(Happened):
    """The end of a streamed answer."""

    input_tokens: Count = Field(description="Tokens of the whole prompt.")
    output_tokens: Count = Field(description="Tokens of the answer, reasoning included.")


class CompleteReply(Done):
    """A whole `/complete` answer."""

    text: str = Field(description="The answer.")


class GenerateReply(Done):
    """A whole `/generate` answer."""

    output: str = Field(description="The answer.")


class Delta(Strict):
    """A piece of a streamed answer."""

    delta: str = Field(min_length=1, description="The next words.")


class Error(Strict):
    """What went wrong, on the simple surface and everywhere outside `/v1`."""

    error: str = Field(description="A sentence for people.")
    error_code: str = Field(description="A word for programs.", json_schema_extra={"enum": CODES})
    details: Any = Field(description="More for programs, such as `field`, the name of the wrong field; mostly null.")
    request_id: str = Field(description="The call's id, as in the `X-Request-Id` header and in the operator's log.")


class OpenAIErrorBody(Strict):
    """The error itself."""

    message: str = Field(description="A sentence for people.")
    type: str = Field(description="The kind of error.", json_schema_extra={"enum": OPENAI_TYPES})
    param: str | None = Field(description="The wrong field.")
    code: str | None = Field(description="A word for programs.")


class OpenAIError(Strict):
    """What went wrong, as OpenAI's SDKs expect it."""

    error: OpenAIErrorBody


class AnthropicErrorBody(Strict):
    """The error itself."""

    type: str = Field(description="The kind of error.", json_schema_extra={"enum": ANTHROPIC_TYPES})
    message: str = Field(description="A sentence for people.")


class AnthropicError(Strict):
    """What went wrong, as Anthropic's SDKs expect it."""

    type: Literal["error"]
    error: AnthropicErrorBody
    request_id: str = Field(description="The call's id, as in the `X-Request-Id` header.")


class Links(Strict):
    """Paths."""

    docs: str
    health: str
    ready: str
    openapi: str
    me: str


class Welcome(Strict):
    """What answers here."""

    name: Literal["headgate"]
    version: str
    links: Links = Field(description="Where to go from here.")


class Health(Strict):
    """The process lives."""

    status: Literal["ok"]


class Ready(Strict):
    """Whether calls can be served."""

    status: Literal["ready", "unready"]
    failing: list[str] = Field(description="The names of the checks that fail.")
    degraded: list[str] = Field(description="The names of those that fail without keeping calls from being served.")
    checks: dict[str, str] = Field(description="Every check by name: `ok`, or what is wrong.")


class Limit(Strict):
    """How one limit stands. All limits slide: a minute is any 60 seconds, a month any 30 days."""

    name: str = Field(description="Its name in the `RateLimit` headers: `tier-free-requests-60s`.")
    scope: str = Field(description="Whose limit it is: `tier free`, `this key`, `this address`, `the service`, …")
    rule: str = Field(description="The limit in words.")
    unit: Literal["requests", "tokens", "USD", "requests at once", "documents", "bytes"] = Field(
        description="What is counted; `documents`, and `bytes` of them, are those that are kept."
    )
    limit: float = Field(ge=0, description="How much there is, in units.")
    used: float = Field(ge=0, description="How much of it is used, in units.")
    left: float = Field(ge=0, description="How much is left of it, in units; more than `limit` where more was granted.")
    refuses: bool = Field(description="Whether it lets no call in now.")
    frees_in: float | None = Field(
        ge=0,
        description="Seconds until it lets a call in; 0: it does now. Null where nobody knows, as for requests at once "
        "and for documents, or where waiting does not help.",
    )
    resets_in: float | None = Field(
        ge=0,
        description="Seconds until all of it is free; null for requests at once, which free as they end, and for "
        "documents, which free as they are deleted.",
    )
    private: bool = Field(description="Whether only the operator is told of it.")


class Used(BaseModel):
    """What a number of calls came to."""

    requests: Count = Field(description="Calls, refused ones too.")
    tokens_in: Count = Field(description="Tokens of the prompts.")
    tokens_out: Count = Field(description="Tokens of the answers.")
    cached_tokens: Count = Field(description="Tokens of the prompts that a provider had in its own cache.")
    cost_usd: float = Field(ge=0, description="The known costs, in US dollars.")
    unpriced: Count = Field(description="Calls that used tokens of unknown price; `cost_usd` lacks theirs.")
    errors: Count = Field(description="Calls that got no answer, or half of one.")
    refused: Count = Field(description="Calls that never reached a model.")


class UsedSince(Used):
    """What the caller used lately."""

    since: int = Field(description="Since then; 30 days ago.")


class Me(Strict):
    """The caller."""

    kind: Literal["key", "user", "anonymous", "admin"] = Field(description="What the credential proves.")
    id: str = Field(description="The user, or the key where it stands for itself.")
    tier: str
    scopes: list[str]
    models: list[str] | None = Field(description="Patterns that narrow what the tier allows; null: they do not.")
    model: str = Field(description="The model that the limits are told for.")
    limits: list[Limit] = Field(description="The limits that a call to that model is under, and those on documents.")
    usage: UsedSince


class UsageRow(Used):
    """One group, whose name is under the word of `by`, or under `name` for `all`."""

    name: str = Field(default_factory=str, description="Empty: everything together.")
    model: str = Field(default_factory=str, description="The model that was asked for.")
    user: str = Field(default_factory=str, description="Such as `user:alice`.")
    key: str = Field(default_factory=str, description="The API key's id.")
    tier: str = Field(default_factory=str)
    day: str = Field(default_factory=str, description="A UTC day, such as `2026-11-21`.")
    provider: str = Field(default_factory=str)
    status: str = Field(default_factory=str, description="`ok`, `refused`, `failed`, `partial` or `cancelled`.")


class Usage(Strict):
    """Totals of calls."""

    by: str = Field(description="What the rows are grouped by.")
    since: float
    until: float | None = Field(description="Up to then, exclusively; null: until now.")
    rows: list[UsageRow] = Field(description="Days in order; other groups with the most expensive first.")
    total: Used


class ModelCost(Strict):
    """What the calls of one model came to."""

    requests: Count
    cost_usd: float = Field(ge=0)


class CostSummary(Strict):
    """What all calls came to since the ledger began."""

    requests: Count
    tokens_in: Count
    tokens_out: Count
    cost_usd: float = Field(ge=0, description="The known costs, in US dollars.")
    unpriced: Count = Field(description="Calls that used tokens of unknown price.")
    errors: Count
    refused: Count
    models: dict[str, ModelCost] = Field(description="By the model that was asked for.")
