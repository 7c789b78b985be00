"""The sections of the configuration. Every key is declared here, once, with its default and its meaning."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from headgate.config.values import Count, Duration, Hidden, MoneyRules, Names, Part, Rules, Says, Size, text_of

Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the file: frozen, and without room for keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Server(Section):
    """How the service listens and what it takes in."""

    host: str = Field(
        "127.0.0.1", description="Address to listen on. Beyond loopback, `[access]` must say who may call."
    )
    port: int = Field(8000, ge=0, le=65_535, description="TCP port; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=256, description="Processes that serve. Several of them need `[shared] url`.")
    max_body: Size = Field(20 * 2**20, description="Largest request body.")
    max_prompt_chars: int = Field(20_000, ge=1, description="Longest prompt of the simple surface, in characters.")
    cors_origins: Names = Field((), description="Browser origins that may call; `*` allows all, without cookies.")
    max_in_flight: int = Field(
        2000, ge=1, description="Calls that each process answers at once; those beyond are told 503 `overloaded`."
    )
    drain: Duration = Field(30.0, description="How long running answers may still take after SIGTERM.")
    head_timeout: Duration = Field(10.0, description="How long a client may take to send its request line and headers.")
    body_timeout: Duration = Field(30.0, description="How long a client may take to send its body.")
    heartbeat: Duration = Field(
        15.0, description="Silence after which a stream carries a comment, so that proxies and phones hold the line."
    )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Timeout(Section):
    """The four clocks of one attempt at a target."""

    connect: Duration = Field(5.0, description="To connect.")
    first_event: Duration = Field(60.0, description="From the request to the first event of the answer.")
    idle: Duration = Field(60.0, description="Between two pieces of the answer.")
    total: Duration = Field(600.0, description="The whole answer, and all attempts together.")


class Hedging(Section):
    """Asking a second target while the first is silent."""

    after: Duration = Field(description="Silence after which the next target is asked too; the first to speak answers.")
    extra: Part = Field(0.05, description="Most of a model's calls that may be asked twice, such as `5%`.")


class Limits(Section):
    """Rules that hold together: a call is admitted by all of them or by none."""

    requests: Rules = Field((), description="Requests in a sliding window.")
    tokens: Rules = Field((), description="Tokens, prompt and answer together, reserved before and settled after.")
    spend_usd: MoneyRules = Field((), description="Money, reserved before and settled after.")
    concurrent: Count = Field(None, ge=1, description="Calls under way at once.")

    @property
    def rules(self) -> dict[str, Any]:
        """The rules by kind, in the words of the configuration; those that are not set are left out."""
        kinds = ("requests", "requests_per_address", "tokens", "spend_usd", "concurrent")
        return {kind: value for kind in kinds if (value := getattr(self, kind, None))}


class Model(Section):
    """A public model name, `[models.NAME]`: what clients send as `model`."""

    targets: Names = Field(min_length=1, description="`provider/model`, tried in order before the first byte.")
    weights: tuple[Share, ...] = Field(
        (), description="Shares of the calls, one a target, for `weighted`; empty: the same for each."
    )
    strategy: Literal["order", "weighted", "least_busy"] = Field(
        "order",
        description="Which target is tried first: the first of the list, one by lot with its weight, or the one with "
        "the shorter expected wait of two drawn by lot.",
    )
    hedge: Hedging | None = Field(
        None, description='A second target for calls whose first is silent, `{ after = "800 ms", extra = "5%" }`.'
    )
    system_prompt: str = Field("", description="The operator's system prompt; `file:PATH` is re-read when it changes.")
    timeout: Timeout = Field(Timeout(), description="The clocks of an attempt.")
    limits: Limits = Field(Limits(), description="Limits on this model, for all callers together.")
    max_tokens: int | None = Field(
        None, ge=1, description="Most tokens that an answer may have; who asks for more gets this."
    )
    default_max_tokens: int | None = Field(
        None,
        ge=1,
        description="Longest answer for a caller who names no bound; empty: the vendor's own, or where tokens or money "
        "are capped 8192, or what a quarter of the smallest cap pays for.",
    )
    context_window: int | None = Field(
        None,
        ge=1,
        description="Tokens that the model takes, prompt and answer together; `history` says what it is for.",
    )
    history: Literal["refuse", "drop_oldest"] | None = Field(
        None,
        description="What becomes of a call with more tokens than `context_window`: it is refused before a provider is "
        "asked, or loses its oldest turns; empty: the provider decides.",
    )
    shared_cache: bool = Field(False, description="Answers are cached for all callers together, not for each tenant.")

    @property
    def shares(self) -> dict[str, float]:
        """The weight of each target by its name; one that is named twice has the sum."""
        shares = dict.fromkeys(self.targets, 0.0)
        for target, weight in zip(self.targets, self.weights or [1.0] * len(self.targets), strict=True):
            shares[target] += weight
        return shares

    @field_validator("targets")
    @classmethod
    def _name_a_provider(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for target in targets:
            provider, _, model = target.partition("/")
            if not provider or not model:
                raise ValueError(f'must be "provider/model" each, not "{target}"')
        return targets

    @field_validator("weights")
    @classmethod
    def _one_a_target(cls, weights: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        targets = info.data.get("targets")
        if targets is not None and weights and (len(weights) != len(targets) or not sum(weights)):
            raise ValueError(f"must have one weight for each of the {len(targets)} targets, not all 0")
        return weights

    @model_validator(mode="after")
    def _window_and_policy(self) -> Model:
        if (self.history is None) is not (self.context_window is None):
            raise ValueError("must say both context_window and history, or neither")
        return self


class Routing(Section):
    """Which model answers."""

    default: str = Field("", description="Model used when a request names none; empty: the first configured one.")
    direct: bool = Field(True, description="Whether `provider/model` may be asked for too, where the tier allows it.")


class Jwt(Section):
    """An issuer of login tokens, `[[access.jwt]]`: one of `secret`, `public_key` and `jwks_url`."""

    secret: Hidden = Field(None, description="Shared secret for HS256, 32 bytes or more.")
    public_key: str = Field("", description="The issuer's public key in PEM, such as `file:issuer.pem`.")
    jwks_url: str = Field("", description="Where the issuer's public keys are, cached and rotated by `kid`.")
    issuer: str = Field("", description="Required `iss` claim; empty: not checked.")
    audience: Names = Field((), description="Accepted `aud` claims; empty: not checked.")
    user_claim: str = Field("sub", min_length=1, description="Claim that names the user.")
    user_prefix: str = Field(
        "", max_length=64, description="Put before that name, for issuers that mean different users by the same one."
    )
    tier_claim: str = Field("tier", description="Claim that names the caller's tier.")
    tier: str = Field("free", description="Tier of a token without that claim.")
    leeway: Duration = Field(10.0, le=30, description="Tolerated difference of clocks, at most 30 s.")

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: Hidden) -> Hidden:
        if secret is not None and len(text_of(secret).encode()) < 32:
            raise ValueError("must have 32 bytes or more: `openssl rand -base64 48` makes one")
        return secret

    @field_validator("jwks_url")
    @classmethod
    def _safe_to_fetch(cls, url: str) -> str:
        parts = urlsplit(url)
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if url and not (parts.hostname and (parts.scheme == "https" or (local and parts.scheme == "http"))):
            raise ValueError("must be an https:// address")
        return url

    @model_validator(mode="after")
    def _one_way(self) -> Jwt:
        if bool(self.secret) + bool(self.public_key) + bool(self.jwks_url) != 1:
            raise ValueError("needs one of `secret`, `public_key` and `jwks_url`")
        return self


class Access(Section):
    """Who may call."""

    anonymous: bool | None = Field(
        None, description="Callers without a credential; default: only on loopback with nothing else set here."
    )
    api_keys: Hidden = Field(
        None, description="Static keys, `key` or `key:user:tier`, comma separated; others live in the database."
    )
    admin_key: Hidden = Field(None, description="Opens `/admin/*`; default: the variable `HEADGATE_ADMIN_KEY`.")
    jwt: tuple[Jwt, ...] = Field((), description="Issuers of login tokens, any number.")
    trusted_proxies: Names = Field(
        (), description="Addresses or networks whose `X-Forwarded-For` is believed; none by default."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                ipaddress.ip_network(name)
            except ValueError:
                raise ValueError(f'must be addresses or networks, which "{name}" is not') from None
        return names

    @property
    def configured(self) -> bool:
        """Whether the operator said anything about who may call."""
        return self.anonymous is not None or any((self.api_keys, self.jwt, self.admin_key))

    @property
    def key_tiers(self) -> tuple[str, ...]:
        """The tiers that `api_keys` names."""
        tiers = (entry.split(":")[2:3] for entry in text_of(self.api_keys).split(","))
        return tuple(tier.strip() for found in tiers for tier in found if tier.strip())


class Tier(Limits):
    """What callers of one kind may do, `[tiers.NAME]`; the limits hold for each caller."""

    requests_per_address: Rules = Field((), description="Each client address's share, among callers without a name.")
    models: Names | None = Field(
        None,
        description="Patterns over public names and `provider/model`; default: all, for `anonymous` the default one.",
    )
    system_prompt: Literal["append", "replace", "forbid"] = Field(
        "append", description="What a caller's own system prompt may do beside the operator's."
    )
    documents: Count = Field(
        None,
        ge=0,
        description="Documents that a caller may keep; default: any number, for `anonymous` beyond loopback none.",
    )
    document_bytes: Size | None = Field(None, description="Bytes of documents that a caller may keep.")


BUILT_IN_TIERS: dict[str, dict[str, Any]] = {
    "anonymous": {"requests": "20/minute", "requests_per_address": "5/minute"},
    "free": {"requests": "10/minute"},
    "standard": {"requests": "60/minute"},
    "pro": {
        "requests": ["100/minute", "5000/day"],
        "tokens": "200_000/minute",
        "spend_usd": "20/day",
        "concurrent": 8,
    },
}


class Store(Section):
    """Where keys and the ledger are kept."""

    url: str = Field("sqlite:///.headgate/headgate.db", repr=False, description="`sqlite:///PATH` or `postgresql://…`.")
    responses: bool = Field(
        True,
        description="Whether answers of `/v1/responses` are kept for 30 days, unless the caller says `store: false`.",
    )
    keep: Duration | None = Field(
        None,
        ge=31 * 86_400,
        description='How long the ledger keeps single calls, such as "400 days", at least 31; without it, for ever. '
        "Sums by the day are kept for ever.",
    )

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        return known_scheme(url, "sqlite", "postgresql", "postgres")


class Shared(Section):
    """What replicas and workers count together."""

    url: str = Field("", repr=False, description="`redis://…` (Redis or Valkey); empty: this process alone.")
    when_down: Literal["refuse", "local"] = Field(
        "refuse",
        description="What calls under a limit do while the store is out. `refuse`: 503. `local`: each process counts "
        "its share of the limits for itself; under a cap on money calls are refused all the same.",
    )
    replicas: int = Field(
        1, ge=1, description="Services that share the store; with `local` each takes this part of the limits."
    )
    per_process: bool = Field(False, description="Accept that several workers count limits each for itself.")

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        return url and known_scheme(url, "redis", "rediss", "valkey", "valkeys", "unix")


def known_scheme(url: str, *known: str) -> str:
    """The address, whose scheme must be one of these. Raises ValueError."""
    if url.partition("://")[0] not in known:
        raise ValueError(f"must begin with {', '.join(f'{name}://' for name in known)}")
    return url


class Cache(Section):
    """Remembered answers."""

    enabled: bool = Field(False, description="Whether calls are cached that do not say; a request may opt in or out.")
    ttl: Duration = Field(3600.0, description="How long an answer is remembered.")
    max_bytes: Size = Field(
        64 * 2**20, description="Most bytes of all remembered answers; with `[shared] url` of all processes together."
    )
    max_entry: Size = Field(2**20, description="Most bytes of one; a longer answer is not remembered.")


class Telemetry(Section):
    """What the service says about itself."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["text", "json"] = Field("text", description="Lines for people, or one JSON object a line.")
    public_metrics: bool = Field(False, description="`/metrics` without the admin key.")
    otlp_endpoint: str = Field(
        "", repr=False, description="Where traces go: `http://127.0.0.1:4318`, an OTLP/HTTP collector; empty: none."
    )
    otlp_headers: Hidden = Field(None, description="Headers for the collector, `name=value`, comma separated.")
    trace_share: float = Field(
        1.0, ge=0, le=1, description="Part of the calls that are traced, of those whose callers did not decide."
    )
    trace_upstream: bool = Field(False, description="Whether providers are sent the trace's id (`traceparent`).")
    public_docs: bool = Field(True, description="`/docs`, `/redoc` and `/openapi.json` for everyone.")

    @field_validator("otlp_endpoint")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        return url and known_scheme(url, "http", "https")


class UsdPerMillion(Section):
    """A price of your own, `[prices."provider/model"]` or `[prices.MODEL]`, in US dollars per million tokens."""

    input: Share = Field(description="Tokens of the prompt.")
    output: Share = Field(description="Tokens of the answer.")
    cached: Share | None = Field(None, description="Prompt tokens read from the vendor's cache; default: as `input`.")
    cache_write: Share | None = Field(None, description="Prompt tokens written to it; default: as `input`.")


ProviderTable = Annotated[dict[str, Any], Says("table")]
