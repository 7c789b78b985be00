"""The one table of faults and HTTP: a status for each, and its words on each surface.

OpenAI's: https://platform.openai.com/docs/guides/error-codes. Anthropic's: https://docs.anthropic.com/en/api/errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Literal

import msgspec
from msgspec import Struct

from headgate.core import faults
from headgate.core.faults import Fault
from headgate.engine.levels import rate_lines

Surface = Literal["simple", "openai", "anthropic"]

_encode = msgspec.json.Encoder().encode


class Row(Struct, frozen=True):
    """How a fault is told: the HTTP status, OpenAI's type and code, Anthropic's type."""

    status: int
    openai: str
    code: str | None
    anthropic: str


_INVALID = "invalid_request_error"
TABLE: dict[type[Fault], Row] = {
    faults.InvalidJson: Row(400, _INVALID, "invalid_json", _INVALID),
    faults.InvalidField: Row(400, _INVALID, None, _INVALID),
    faults.TooLarge: Row(413, _INVALID, "request_too_large", "request_too_large"),
    faults.TooSlow: Row(408, _INVALID, "request_timeout", "timeout_error"),
    faults.NotFound: Row(404, "not_found_error", "not_found", "not_found_error"),
    faults.ContextTooLong: Row(400, _INVALID, "context_length_exceeded", _INVALID),
    faults.Unsupported: Row(400, _INVALID, "unsupported", _INVALID),
    faults.Unauthenticated: Row(401, "authentication_error", "invalid_api_key", "authentication_error"),
    faults.Forbidden: Row(403, "permission_error", "forbidden", "permission_error"),
    faults.KeyInUse: Row(409, _INVALID, "idempotency_key_in_use", _INVALID),
    faults.KeyReused: Row(422, _INVALID, "idempotency_key_reused", _INVALID),
    faults.RateLimited: Row(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
    faults.BudgetExhausted: Row(429, "insufficient_quota", "insufficient_quota", "rate_limit_error"),
    faults.UpstreamRejected: Row(400, _INVALID, "upstream_rejected", _INVALID),
    faults.UpstreamMissing: Row(404, "not_found_error", "model_not_found", "not_found_error"),
    faults.UpstreamAuth: Row(502, "api_error", "upstream_auth", "api_error"),
    faults.UpstreamQuota: Row(503, "overloaded_error", "upstream_quota", "overloaded_error"),
    faults.UpstreamBusy: Row(503, "overloaded_error", "upstream_busy", "overloaded_error"),
    faults.UpstreamDown: Row(502, "api_error", "upstream_error", "api_error"),
    faults.UpstreamRedirected: Row(502, "api_error", "upstream_error", "api_error"),
    faults.UpstreamBroken: Row(502, "api_error", "upstream_error", "api_error"),
    faults.UpstreamTimeout: Row(504, "api_error", "upstream_timeout", "api_error"),
    faults.Overloaded: Row(503, "overloaded_error", "overloaded", "overloaded_error"),
    faults.Unavailable: Row(503, "overloaded_error", "overloaded", "overloaded_error"),
    faults.InternalError: Row(500, "api_error", "internal_error", "api_error"),
}
_NO_MODEL = Row(404, "not_found_error", "model_not_found", "not_found_error")
_RATE_LIMITED = Row(429, "rate_limit_error", "upstream_busy", "rate_limit_error")


def surface_of(scope: Mapping[str, Any]) -> Surface:
    """Whose words the errors of an ASGI scope's path use, wherever the app is mounted."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if path.startswith("/v1/messages"):
        return "anthropic"
    return "openai" if path.startswith("/v1/") else "simple"


def row_of(fault: Fault, surface: Surface = "simple") -> Row:
    """The row of a fault or of its nearest ancestor; a fault nobody thought of is a bug of ours.

    An upstream's own rate limit is one to the SDKs too: clients pace themselves by that word, not by "overloaded".
    """
    if surface != "simple" and isinstance(fault, faults.UpstreamBusy) and fault.status == 429:
        return _RATE_LIMITED
    if isinstance(fault, faults.NotFound) and fault.field == "model":
        return _NO_MODEL
    for kind in type(fault).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return TABLE[faults.InternalError]


def status_of(fault: Fault, surface: Surface) -> int:
    """The HTTP status. The simple surface says 422 for a wrong field, as FastAPI does."""
    if surface == "simple" and isinstance(fault, faults.InvalidField):
        return 422
    return row_of(fault, surface).status


def body_of(fault: Fault, surface: Surface, request_id: str) -> bytes:
    """The error body in the words of the surface."""
    row = row_of(fault, surface)
    if surface == "openai":
        return _encode(
            {
                "error": {
                    "message": fault.message,
                    "type": row.openai,
                    "param": fault.field,
                    "code": row.code,
                }
            }
        )
    if surface == "anthropic":
        error = {"type": row.anthropic, "message": fault.message}
        return _encode({"type": "error", "error": error, "request_id": request_id})
    details: Any = fault.details
    if details is None and fault.field is not None:
        details = {"field": fault.field}
    return _encode(
        {
            "error": fault.message,
            "error_code": fault.code,
            "details": details,
            "request_id": request_id,
        }
    )


def headers_of(fault: Fault) -> bytes:
    """`Retry-After`, the state of the limits, and how to authenticate, as lines."""
    lines = rate_lines(fault.levels) if isinstance(fault, faults.LimitReached) else b""
    retry_after = fault.retry_after
    if retry_after is None and row_of(fault).status == 503:
        retry_after = 1.0
    if retry_after is not None:
        lines += b"retry-after: %d\r\n" % max(1, ceil(retry_after))
    if isinstance(fault, faults.Unauthenticated):
        lines += b'www-authenticate: Bearer realm="headgate"\r\n'
    return lines
