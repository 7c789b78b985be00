"""What is said of an operation in the documentation: its errors, headers and examples.

Errors come from the one table of faults, and examples from the writers that make the real answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from fastapi import Response
from fastapi.routing import APIRoute
from msgspec import Struct
from pydantic import BaseModel

from headgate.core import faults
from headgate.core.call import Call, Prompt
from headgate.core.entry import Entry
from headgate.core.events import Begin, Done, Event, Receipt, Reply, Text, Usage
from headgate.core.faults import Fault
from headgate.dialects.openai_responses import MARK
from headgate.surfaces.credentials import CREDENTIALS
from headgate.surfaces.edge import Endpoint, OneShot
from headgate.surfaces.faults import Surface, body_of, row_of, status_of
from headgate.surfaces.schemas import AnthropicError, Error, OpenAIError

REQUEST_ID = "req_6f1d2c9b8a7e4f3d5c6b7a89"
ERRORS: dict[Surface, type[BaseModel]] = {"simple": Error, "openai": OpenAIError, "anthropic": AnthropicError}

SAMPLES: tuple[Fault, ...] = (
    faults.InvalidJson("the body is not valid JSON: it is empty"),
    faults.InvalidField("temperature must be a number from 0 to 2", field="temperature"),
    faults.TooLarge("the body is larger than 20971520 bytes"),
    faults.TooSlow("the request's body did not arrive in time"),
    faults.NotFound("the model 'gpt-9' does not exist here: /v1/models lists those that do", field="model"),
    faults.ContextTooLong("the prompt is too long for the model"),
    faults.Unsupported("this model takes files as data, not by URL", field="messages"),
    faults.Unauthenticated("The credential is not valid."),
    faults.Forbidden("the tier free may not use the model gpt-5", field="model"),
    faults.KeyInUse("a call with this Idempotency-Key is being made; ask again in a moment", field="Idempotency-Key"),
    faults.KeyReused("this Idempotency-Key came with another body before", field="Idempotency-Key"),
    faults.RateLimited("Rate limit reached: the limit is 10 requests a minute (tier free). Try again in 12s."),
    faults.BudgetExhausted("Budget used up: the limit is $20.00 a day (tier pro). Try again in 3h5m0s."),
    faults.UpstreamRejected("the upstream refused the request (status 400)"),
    faults.UpstreamMissing("the upstream does not know the model"),
    faults.UpstreamAuth("the provider refused Headgate's credential"),
    faults.UpstreamQuota("the provider refused: Headgate's account there has no money or quota left"),
    faults.UpstreamBusy("the upstream is busy and asks to come back later"),
    faults.UpstreamDown("the upstream failed (status 500)"),
    faults.UpstreamRedirected("the upstream answered with a redirect (status 302), which is not followed"),
    faults.UpstreamBroken("the upstream ended its answer in the middle"),
    faults.UpstreamTimeout("the upstream did not begin to answer in 60 s"),
    faults.Overloaded("Headgate is draining; ask again in a moment"),
    faults.Unavailable("the database is out of reach"),
    faults.InternalError("something went wrong inside Headgate; the request id helps to find it"),
)

ENTRY = Entry(
    id="",
    at=0,
    request_id=REQUEST_ID,
    provider="openai",
    target="gpt-4o-mini",
    tokens_in=14,
    tokens_out=13,
    cost=9900,
    total_ms=412.5,
)
"""The ledger row of the example answers."""

Schema = dict[str, Any]

_TIME = re.compile(r'("(?:created|created_at|completed_at)":)\d+')
_KEY = re.compile(MARK + "[0-9a-f]{40}")


def _header(description: str, kind: str = "string", example: Any = None) -> Schema:
    return {"description": description, "schema": {"type": kind}, "example": example}


_ID = {"X-Request-Id": _header("The call's id: the caller's own, if it sent a sane one.", example=REQUEST_ID)}
_ALSO_ID = {"Request-Id": _header("The same, where Anthropic's clients look for it.", example=REQUEST_ID)}
_LIMITS = {
    "RateLimit": _header(
        "What is left of the tightest limit of each kind, and seconds until it is whole.",
        example='"tier-free-requests-60s";r=9;t=6',
    ),
    "RateLimit-Policy": _header("Those limits.", example='"tier-free-requests-60s";q=10;w=60'),
    "X-RateLimit-Limit-Requests": _header("The tightest limit on requests.", "integer", 10),
    "X-RateLimit-Remaining-Requests": _header("What is left of it.", "integer", 9),
    "X-RateLimit-Reset-Requests": _header("When it is whole again.", example="6s"),
    "X-RateLimit-Limit-Tokens": _header("The tightest limit on tokens.", "integer", 200_000),
    "X-RateLimit-Remaining-Tokens": _header("What is left of it.", "integer", 199_210),
    "X-RateLimit-Reset-Tokens": _header("When it is whole again.", example="1s"),
}
_ANSWER = {
    "Headgate-Model": _header("The target that answers.", example="gpt-4o-mini"),
    "Headgate-Provider": _header("Its provider.", example="openai"),
    "Headgate-Cache": _header("`off`, `miss` or `hit`.", example="miss"),
    "Headgate-Dropped-Messages": _header(
        "How many of the oldest messages were left out, so that the call fits its model; only where some were.",
        "integer",
        2,
    ),
    "Headgate-Latency-Ms": _header("How long the call took, in ms; not for streams.", "number", 412.5),
    "Headgate-Cost-Usd": _header("What it cost, in US dollars; not for streams, nor where unknown.", "number", 1.95e-6),
    "Headgate-Estimated": _header("`true` where nobody counted the tokens, and they are estimated.", example="true"),
}
_REPLAYED = {"Idempotent-Replayed": _header("`true` where this was answered before.", example="true")}
_ONCE: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes a retry safe: the call with this key is made once in 24 hours, and answered alike.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_WISHES = [
    _ONCE,
    {
        "name": "Cache-Control",
        "in": "header",
        "description": "`no-store`: not from the cache nor into it. `no-cache`: a fresh answer. `max-age=N`: from the "
        "cache, if not older than N seconds.",
        "schema": {"type": "string"},
    },
]
_RETRY = {"Retry-After": _header("Whole seconds until it can succeed.", "integer", 12)}
_WHO = {"WWW-Authenticate": _header("How to authenticate.", example='Bearer realm="headgate"')}
_HEADERS: dict[int, Schema] = {401: _WHO, 429: {**_RETRY, **_LIMITS}, 503: _RETRY}


def ref(model: type[BaseModel]) -> Schema:
    """A reference to a model among the document's components."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def errors(surface: Surface, *kinds: type[Fault]) -> dict[int | str, Schema]:
    """The error responses by status, of these faults or of all, in the words of the surface."""
    found: dict[int | str, list[Fault]] = {}
    for sample in SAMPLES:
        if not kinds or isinstance(sample, kinds):
            found.setdefault(status_of(sample, surface), []).append(sample)
    return {status: _error(surface, status, found[status]) for status in sorted(found, key=int)}


def told(
    model: type[BaseModel],
    *kinds: type[Fault],
    surface: Surface = "simple",
    status: int = 200,
    once: bool = False,
    limited: bool = False,
    extra: Schema | None = None,
) -> dict[str, Any]:
    """What a route's decorator is to be told of its answer, and of its errors beside those that every caller may get.

    The answer is documented, and sent as it is: nothing is checked or copied. `once` says that it honours an
    `Idempotency-Key`, `limited` that it says how the limits stand, `extra` what else there is to say of the operation.
    """
    kinds = (faults.Unauthenticated, faults.Forbidden, faults.Unavailable, faults.InternalError, *kinds)
    answer: Schema = {"model": model, "description": (model.__doc__ or "").partition("\n")[0]}
    if limited:
        answer["headers"] = _LIMITS
    if once:
        kinds = (*kinds, faults.InvalidField, faults.KeyInUse, faults.KeyReused)
        answer["headers"] = {**_REPLAYED, **answer.get("headers", {})}
        extra = {**(extra or {}), "parameters": [_ONCE]}
    return {"response_model": None, "responses": {status: answer, **errors(surface, *kinds)}, "openapi_extra": extra}


def named(route: APIRoute) -> str:
    """An operation's id: the room's tag and the handler's name."""
    return f"{route.tags[0]}_{route.name}"


def error_examples() -> Schema:
    """The examples of errors, for the document's components."""
    return {
        f"{surface}.{_word(surface, sample)}": {
            "summary": _word(surface, sample),
            "value": json.loads(body_of(sample, surface, REQUEST_ID)),
        }
        for surface in ERRORS
        for sample in reversed(SAMPLES)
    }


def _error(surface: Surface, status: int | str, samples: Sequence[Fault]) -> Schema:
    meanings: dict[str, list[str]] = {}
    for sample in samples:
        meanings.setdefault(_word(surface, sample), []).append(_meaning(sample))
    lines = [f"`{word}`: {' '.join(told)}" for word, told in meanings.items()]
    examples = {word: {"$ref": f"#/components/examples/{surface}.{word}"} for word in meanings}
    answer: Schema = {
        "description": lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines),
        "content": {"application/json": {"schema": ref(ERRORS[surface]), "examples": examples}},
    }
    return {**answer, "headers": _HEADERS[int(status)]} if int(status) in _HEADERS else answer


def _word(surface: Surface, sample: Fault) -> str:
    """What a program tells this fault by, on the surface."""
    row = row_of(sample)
    if surface == "simple":
        return sample.code
    return row.anthropic if surface == "anthropic" else row.code or row.openai


def _meaning(sample: Fault) -> str:
    return (type(sample).__doc__ or "").partition("\n")[0]


class Said(Struct, frozen=True, kw_only=True):
    """What is said of an endpoint that asks a model.

    `examples` are request bodies by what they show; the first also says what the example answers answer.
    `events` are the models of a stream's events, for the components. `answer` is an example without words.
    """

    summary: str
    description: str
    tag: str
    operation_id: str
    request: type[BaseModel]
    reply: type[BaseModel]
    examples: dict[str, Schema]
    events: tuple[type[BaseModel], ...] = ()
    words: tuple[str, ...] = ("A headgate is the gate ", "that controls the water of a canal.")
    answer: bytes = b""

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        """Every model that the documentation of this endpoint refers to."""
        return (self.request, self.reply, *self.events)

    def arguments(self, endpoint: Endpoint | OneShot) -> Schema:
        """What `add_api_route` is to be told of the endpoint."""
        success = {
            "description": "The model's answer.",
            "headers": {
                **_ID,
                **(_ALSO_ID if endpoint.surface == "anthropic" else {}),
                **_ANSWER,
                **_REPLAYED,
                **_LIMITS,
            },
            "content": self._content(endpoint),
        }
        examples = {name: {"summary": name, "value": body} for name, body in self.examples.items()}
        body = {"required": True, "content": {"application/json": {"schema": ref(self.request), "examples": examples}}}
        return {
            "summary": self.summary,
            "description": self.description,
            "tags": [self.tag],
            "operation_id": self.operation_id,
            "dependencies": CREDENTIALS,
            "response_class": Response,
            "response_model": None,
            "responses": {200: success, **errors(endpoint.surface)},
            "openapi_extra": {"requestBody": body, "parameters": _WISHES},
        }

    def _content(self, endpoint: Endpoint | OneShot) -> Schema:
        if isinstance(endpoint, OneShot):
            return {"application/json": {"schema": ref(self.reply), "example": json.loads(self.answer)}}
        call, events = _call(), _events(self.words)
        content: Schema = {}
        if endpoint.stream is not True:
            reply = Reply()
            for event in events:
                reply.add(event)
            answer = json.loads(_undated(endpoint.whole(call, reply)))
            content["application/json"] = {"schema": ref(self.reply), "example": answer}
        if endpoint.stream is not False:
            content["text/event-stream"] = {
                "schema": {"type": "string", "description": self._of_events()},
                "example": _streamed(endpoint, call, events),
            }
        return content

    def _of_events(self) -> str:
        names = ", ".join(f"`{model.__name__}`" for model in self.events)
        return f"Server-Sent Events. The JSON of their `data:` lines: {names}."


def _call() -> Call:
    return Call(model="gpt-4o-mini", understand=_nothing, id=REQUEST_ID, usage_wanted=True)


def _nothing(_: Schema) -> Prompt:
    return Prompt(messages=())


def _events(words: Sequence[str]) -> list[Event]:
    return [
        Begin("", "gpt-4o-mini-2024-07-18"),
        *map(Text, words),
        Done("stop", raw="stop"),
        Usage(14, 13),
        Receipt(ENTRY),
    ]


def _streamed(endpoint: Endpoint, call: Call, events: Sequence[Event]) -> str:
    writer = endpoint.writer(call)
    return _undated(b"".join(map(writer.feed, events)))


def _undated(body: bytes) -> str:
    """The body with a fixed time and key in it, so that the document is always the same."""
    return _KEY.sub(MARK + "0" * 40, _TIME.sub(r"\g<1>1763712000", body.decode()))
