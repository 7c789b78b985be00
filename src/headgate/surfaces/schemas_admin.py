"""The shapes of the admin surface's replies. Times are seconds since the epoch, money is US dollars."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headgate.surfaces.schemas import Count, Limit, Strict


class Key(Strict):
    """An API key, without what opens it."""

    id: str
    prefix: str = Field(description="The readable beginning of its text.")
    user: str = Field(description="Whose it is; empty: it stands for itself.")
    tier: str
    name: str = Field(description="A note for people.")
    scopes: list[str]
    models: list[str] | None = Field(description="Patterns that narrow what the tier allows; null: they do not.")
    limits: dict[str, str] = Field(description="Its own limits, as the configuration writes them.")
    created: float
    expires: float | None
    revoked: float | None
    state: Literal["valid", "expired", "revoked"]


class NewKey(Key):
    """An API key with its text, which is told this once."""

    key: str = Field(description="The text that opens it.")


class KeyList(Strict):
    """API keys, the newest first."""

    keys: list[Key]


class LedgerRow(Strict):
    """One call, as it is written down."""

    id: str
    at: float = Field(description="When it came.")
    request_id: str
    kind: Literal["key", "user", "anonymous", "admin", "nobody"] = Field(description="Who called.")
    principal: str
    key_id: str
    tier: str
    address: str = Field(description="The caller's network address.")
    surface: str
    stream: bool
    model: str = Field(description="What was asked for.")
    provider: str
    target: str = Field(description="What answered, by its provider's name.")
    tries: Count = Field(description="Attempts at targets.")
    tokens_in: Count
    tokens_out: Count
    cached: Count = Field(description="Prompt tokens that the provider had in its own cache.")
    cache_write: Count = Field(description="Prompt tokens that it wrote there.")
    reasoning: Count = Field(description="Answer tokens that were reasoning.")
    estimated: bool = Field(description="Whether the tokens are Headgate's estimate, since no provider told them.")
    cost: int | None = Field(description="In billionths of a dollar; null: the price is unknown.")
    price: str = Field(description="The price that it was computed from.")
    cache: str = Field(description="`off`, `miss` or `hit`.")
    saved: Count = Field(description="What a hit would have cost, in billionths of a dollar.")
    first_ms: float | None = Field(description="Milliseconds to the first event; null: there was none.")
    total_ms: float = Field(description="Milliseconds in all.")
    status: Literal["ok", "refused", "failed", "partial", "cancelled"]
    finish: str = Field(description="Why the model stopped, in its provider's word.")
    error: str = Field(description="The code of what went wrong.")
    cost_usd: float | None


class LedgerRows(Strict):
    """The newest calls first."""

    entries: list[LedgerRow]


class PooledKey(Strict):
    """One of several keys of a provider, and how it does for this model."""

    key: str = Field(description="Its place in the configuration, from 1.")
    state: Literal["closed", "open", "half_open"] = Field(description="`open`: the provider refuses it.")
    rests_for: float = Field(description="Seconds until it is used again for this model.")
    last_fault: str | None = Field(description="The code of its last failure.")


class TargetState(Strict):
    """A target and how it does."""

    target: str = Field(description="`provider/model`.")
    tripped: bool = Field(description="Whether it is passed over since it kept failing.")
    state: Literal["closed", "open", "half_open"] = Field(
        description="`closed`: calls may go; `open`: it is passed over; `half_open`: one trial call may go."
    )
    tried_again_in: float = Field(description="Seconds until it gets a trial call.")
    in_flight: Count = Field(description="Calls under way.")
    latency_ms: float | None = Field(description="Smoothed time to the first event; null while unknown.")
    calls: Count = Field(description="Calls that were aimed at it.")
    failures: Count = Field(description="Those that failed, by its own fault.")
    keys: list[PooledKey] = Field(description="The provider's keys, where it has several.")
    last_fault: str | None = Field(description="The code of its last failure.")


class RouteState(Strict):
    """A public model and its targets, in order."""

    name: str
    strategy: Literal["order", "weighted", "least_busy"]
    hedges: Count = Field(description="Calls of which a second target was asked too.")
    targets: list[TargetState]


class RouteStates(Strict):
    """Every model in use."""

    default: str = Field(description="The model of a request that names none.")
    models: list[RouteState]


class SavedPrompt(Strict):
    """One version of a system prompt."""

    name: str
    version: int
    text: str
    at: float = Field(description="When it was saved.")


class PromptList(Strict):
    """The newest version of each system prompt."""

    prompts: list[SavedPrompt]


class Reloaded(Strict):
    """The saved configuration is in force."""

    reloaded: Literal[True]
    at_next_start: list[str] = Field(description="Changed sections that wait for a restart.")


class Limits(Strict):
    """How the limits of a caller stand."""

    caller: str = Field(description="Such as `user:ada`; empty: nobody's, but the model's and the service's.")
    tier: str
    model: str
    limits: list[Limit]
