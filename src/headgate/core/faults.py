"""Faults: what went wrong, and what to do next. Only `surfaces/faults.py` knows HTTP statuses.

Fault
├── CallerFault                 the caller can mend it
│   ├── InvalidJson  InvalidField  TooLarge  TooSlow  NotFound  ContextTooLong  Unsupported
│   ├── Unauthenticated  Forbidden
│   ├── KeyInUse  KeyReused     of an Idempotency-Key
│   └── LimitReached
│       └── RateLimited  BudgetExhausted
├── UpstreamFault               the model's side
│   ├── UpstreamRejected        our words were refused: the same words fail elsewhere too
│   ├── UpstreamMissing         the upstream does not know the model
│   ├── UpstreamAuth            our key was refused
│   ├── UpstreamQuota           our money there is used up
│   ├── UpstreamBusy            asked to come back later
│   ├── UpstreamDown            no connection, or it broke before it answered
│   ├── UpstreamRedirected      it points elsewhere: redirects are not followed
│   ├── UpstreamBroken          nonsense, or an answer cut in the middle
│   └── UpstreamTimeout         one of the four clocks ran out
└── ServerFault                 ours
├── Overloaded  Unavailable
└── InternalError
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, ClassVar

from headgate.core.limit import Level


class Then(Enum):
    """What the router may do about a fault that came before the first event."""

    STOP = "tell the caller"
    AGAIN = "try the same target once more, after a pause"
    ELSEWHERE = "try the next target"


class Fault(Exception):
    """Base of all faults. `message` is for the caller: no secrets, no other caller's data.

    `field` names the wrong field, `retry_after` is in seconds, `details` goes into the simple surface's body.
    `recorded` says that the ledger has it.
    """

    then: ClassVar[Then] = Then.STOP
    code: ClassVar[str] = "internal_error"

    def __init__(
        self, message: str, *, field: str | None = None, retry_after: float | None = None, details: Any = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after
        self.details = details
        self.recorded = False


class CallerFault(Fault):
    """The caller's request cannot be served as it is."""


class InvalidJson(CallerFault):
    """The body is not one strict JSON object."""

    code = "invalid_json"


class InvalidField(CallerFault):
    """A field is missing, of the wrong type, out of range or unknown."""

    code = "validation_error"


class TooLarge(CallerFault):
    """The body is larger than the server takes."""

    code = "too_large"


class TooSlow(CallerFault):
    """The request did not arrive in time."""

    code = "request_timeout"


class NotFound(CallerFault):
    """No such model, path or document."""

    code = "not_found"


class ContextTooLong(CallerFault):
    """The prompt does not fit the model's window; a larger target may take it."""

    then = Then.ELSEWHERE
    code = "context_length_exceeded"


class Unsupported(CallerFault):
    """The target cannot do what the caller asks for; another may."""

    then = Then.ELSEWHERE
    code = "unsupported"


class Unauthenticated(CallerFault):
    """No credential, or one that is wrong, expired or revoked."""

    code = "unauthenticated"


class Forbidden(CallerFault):
    """A valid caller without the right."""

    code = "forbidden"


class KeyInUse(CallerFault):
    """A call with this Idempotency-Key is being made, or its answer was too large to be kept."""

    code = "idempotency_key_in_use"


class KeyReused(CallerFault):
    """This Idempotency-Key came with another body before."""

    code = "idempotency_key_reused"


class LimitReached(CallerFault):
    """A limit is reached; `levels` say how each of the caller's limits stands.

    `retry_after` says when it frees; without it the call is more than the whole limit, and never fits.
    """

    levels: Sequence[Level] = ()


class RateLimited(LimitReached):
    """A limit on requests, tokens or concurrency is reached."""

    code = "rate_limited"


class BudgetExhausted(LimitReached):
    """A limit on money is reached."""

    code = "budget_exhausted"


class UpstreamFault(Fault):
    """The model's side failed. `status` is the upstream's HTTP status, where there was one."""

    then = Then.ELSEWHERE
    status: int | None = None


class UpstreamRejected(UpstreamFault):
    """The upstream refused the request as wrong."""

    then = Then.STOP
    code = "upstream_rejected"


class UpstreamMissing(UpstreamFault):
    """The upstream does not know the model or path it was asked for."""

    code = "not_found"


class UpstreamAuth(UpstreamFault):
    """The upstream refused our credential; the caller learns only that."""

    code = "upstream_auth"


class UpstreamQuota(UpstreamFault):
    """Our account at the upstream has no money left; waiting does not help."""

    code = "upstream_busy"


class UpstreamBusy(UpstreamFault):
    """The upstream asked us to come back later (429, 503, 529)."""

    then = Then.AGAIN
    code = "upstream_busy"


class UpstreamDown(UpstreamFault):
    """No connection, or it closed before the answer began, or a 5xx."""

    then = Then.AGAIN
    code = "upstream_error"


class UpstreamBroken(UpstreamFault):
    """The upstream answered nonsense, or stopped in the middle."""

    then = Then.AGAIN
    code = "upstream_error"


class UpstreamRedirected(UpstreamFault):
    """The upstream pointed to another address (3xx); asking again brings the same."""

    code = "upstream_error"


class UpstreamTimeout(UpstreamFault):
    """The upstream was too slow."""

    code = "upstream_timeout"


class ServerFault(Fault):
    """Our own side cannot serve now."""


class Overloaded(ServerFault):
    """Too much at once, or the process is draining."""

    code = "overloaded"


class Unavailable(ServerFault):
    """A store that this call needs is out of reach."""

    code = "overloaded"


class InternalError(ServerFault):
    """A bug of ours."""

    code = "internal_error"
