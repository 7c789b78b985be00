"""What upstreams say when something goes wrong, in every vendor's shape, as Faults. Pure: also for errors in a stream.

A caller reads the vendor's own words only where they help to mend the request; they are redacted and capped.
What concerns our account there (credential, money, rate) is told in neutral words.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from headgate.core.faults import (
    ContextTooLong,
    Fault,
    UpstreamAuth,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDown,
    UpstreamFault,
    UpstreamMissing,
    UpstreamQuota,
    UpstreamRedirected,
    UpstreamRejected,
)

MESSAGE_LIMIT = 500

_STATUS_OF_WORD = {
    # OpenAI and those who speak like it: https://platform.openai.com/docs/guides/error-codes
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "bad_request": 400,
    "validation_error": 422,
    "invalid_api_key": 401,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "server_overloaded": 503,
    "service_unavailable": 503,
    "slow_down": 503,
    # Anthropic: https://docs.anthropic.com/en/api/errors
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    # Google: https://cloud.google.com/apis/design/errors
    "invalid_argument": 400,
    "failed_precondition": 400,
    "out_of_range": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "aborted": 409,
    "resource_exhausted": 429,
    "internal": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
_QUOTA_WORDS = {"insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active"}
_CONTEXT_WORDS = {
    "context_length_exceeded",
    "exceed_context_size_error",
    "too_many_tokens",
    "request_too_large",
    "model_context_window_exceeded",
}
_AUTH_WORDS = {"invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated"}
_MISSING_WORDS = {"model_not_found"}

_QUOTA = re.compile(
    r"credit balance is too low|insufficient (?:balance|credits|funds)|spend(?:ing)? (?:cap|limit)|usage limits"
    r"|used all available credits|included credits|(?:key|credit) limit exceeded|calls / month"
)
_CONTEXT = re.compile(
    r"prompt (?:is )?too long|max(?:imum)? (?:context|prompt) length|context (?:length|window|limit|size)"
    r"|exceeds the maximum number of tokens|too many tokens|input is too long|input (?:token count|length).{0,40}exceed"
    r"|reduce the length of the (?:messages|prompt)|must have less than \d+ tokens|tokens \+ `max_new_tokens"
)
_AUTH = re.compile(r"api key (?:not valid|expired|not found)|location is not supported")
_FLAGGED = re.compile(r"flagged|moderation|content (?:policy|filter)|safety")

_SECRET = re.compile(
    r"(?i:bearer)\s+[^\s\"']+"
    r"|\b(?:sk|pk|rk|xai|nvapi|pplx|org|proj|user|key)[-_](?=[^\s\"',;]*[\d*]|[^\s\"',;]*-key)[^\s\"',;)]+"
    r"|\b(?:sk-|AIza|hf_|gsk_|hg_|AKIA|ghp_|eyJ)[^\s\"',;)]+"
    r"|(?<=key=)[^\s\"'&]+"
    r"|(?=[A-Za-z+_]*\d)(?=[\d+_]*[A-Za-z])[A-Za-z0-9+_]{32,}={0,2}"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_TRY_AGAIN = re.compile(r"(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)?\s?(?:[a-z]+\s?)?)+)", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s?(ms|h|m|s|d)(?:illiseconds?|ours?|in(?:ute)?s?|ec(?:ond)?s?|ays?)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Complaint(Struct, frozen=True):
    """An upstream's error: its `words` are codes and types, lower-cased; `retry_after` is in seconds.

    `status` is the HTTP status that it claims or that its words mean, where it came without one.
    """

    message: str = ""
    words: frozenset[str] = frozenset()
    status: int | None = None
    retry_after: float | None = None


def complaint(value: Any) -> Complaint:
    """Read a decoded error of any vendor: the whole object, the `error` inside it, a list around it, or a sentence."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        return Complaint(value, retry_after=_asked_pause(value))
    if not isinstance(value, dict):
        return Complaint()
    inner = value.get("error")
    error = inner if isinstance(inner, dict) else value
    message = _message(inner if isinstance(inner, (str, list)) else error)
    marks = [found.get(name) for found in (error, value) for name in ("code", "type", "status", "error_type")]
    details = [entry for entry in _list(error.get("details")) if isinstance(entry, dict)]
    marks += [entry.get("reason") for entry in details]
    words = frozenset(mark.lower() for mark in marks if isinstance(mark, str))
    claimed = next((status for status in map(_as_status, marks) if status), None)
    return Complaint(message, words, claimed or _status_of(words), _pause(details, value, message))


def fault_in_band(value: Any, status: int | None = None) -> Fault:
    """The fault for an error that came inside a 200 or in the middle of a stream, as `complaint` reads it."""
    said = complaint(value)
    return fault_for(said, status or said.status or 500)


def fault_for(said: Complaint, status: int) -> Fault:
    """The fault of a complaint that came with this HTTP status, or one that means the same."""
    fault = _fault(said, status)
    fault.retry_after = said.retry_after
    if isinstance(fault, UpstreamFault):
        fault.status = status
    return fault


def _fault(said: Complaint, status: int) -> Fault:
    text = said.message.lower()
    words = said.words
    if status == 402 or (status < 500 and (words & _QUOTA_WORDS or _QUOTA.search(text))):
        return UpstreamQuota("the provider refused: Headgate's account there has no money or quota left")
    if status == 413 or (status in (400, 422) and (words & _CONTEXT_WORDS or _CONTEXT.search(text))):
        return ContextTooLong(_words(said, "the prompt is too long for the model"))
    if status in (404, 410) or words & _MISSING_WORDS:
        return UpstreamMissing(_words(said, "the upstream does not know the model"))
    if status == 403 and _FLAGGED.search(text):
        return UpstreamRejected(_words(said, "the upstream refused the request"))
    if status in (401, 403, 407) or words & _AUTH_WORDS or (status == 400 and _AUTH.search(text)):
        return UpstreamAuth("the provider refused Headgate's credential")
    if status in (429, 503, 529):
        return UpstreamBusy("the upstream is busy and asks to come back later")
    if status in (408, 409, 425, 499) or status >= 500:
        return UpstreamDown(f"the upstream failed (status {status})")
    if 300 <= status < 400:
        return UpstreamRedirected(f"the upstream answered with a redirect (status {status}), which is not followed")
    if status < 400:
        return UpstreamBroken(f"the upstream answered with status {status} and no answer")
    return UpstreamRejected(_words(said, f"the upstream refused the request (status {status})"))


def redact(text: str) -> str:
    """A vendor's text without anything that looks like a key, on one line, at most MESSAGE_LIMIT characters."""
    text = _CONTROL.sub(" ", text[: 2 * MESSAGE_LIMIT]).strip()
    text = _SECRET.sub("[redacted]", text)
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def seconds(text: str) -> float | None:
    """A duration such as `37s`, `1m30.5s`, `6ms`, `2 minutes` or `12` (seconds), in seconds; None if it is none."""
    text = text.strip().lower()
    if len(text) > 40:
        return None
    try:
        return _sane(float(text))
    except ValueError:
        pass
    if _DURATION.sub("", text).strip(" ,."):
        return None
    found = _DURATION.findall(text)
    return _sane(sum(float(number) * _UNITS[unit] for number, unit in found)) if found else None


def _sane(number: float) -> float | None:
    return number if 0 <= number < 1e9 else None


def _words(said: Complaint, otherwise: str) -> str:
    return redact(said.message) or otherwise


def _status_of(words: frozenset[str]) -> int | None:
    """The status that the most telling of these words means; nearly every error is also an `invalid_request_error`."""
    if words & _QUOTA_WORDS:
        return 402
    if words & _CONTEXT_WORDS:
        return 400
    found = [_STATUS_OF_WORD[word] for word in words if word in _STATUS_OF_WORD]
    return max(found, key=lambda status: status not in (400, 500), default=None)


def _as_status(mark: object) -> int | None:
    if isinstance(mark, str) and mark.isdecimal() and len(mark) == 3:
        mark = int(mark)
    return mark if isinstance(mark, int) and 400 <= mark <= 599 else None


def _message(error: Any, depth: int = 4) -> str:
    """The sentence in an error: `message`, `detail` (also a list, FastAPI's validation errors), or itself."""
    if isinstance(error, str):
        return error
    if depth == 0:
        return ""
    if isinstance(error, list):
        return "; ".join(filter(None, (_message(item, depth - 1) for item in error[:5])))
    if not isinstance(error, dict):
        return ""
    where = ".".join(str(step) for step in _list(error.get("loc")) if isinstance(step, (str, int)))
    told = (_message(error.get(name), depth - 1) for name in ("message", "detail", "msg", "Message"))
    text = next(filter(None, told), "")
    return f"{where}: {text}" if where and text else text


def _pause(details: list[dict[str, Any]], value: dict[str, Any], message: str) -> float | None:
    """How long the upstream asks to wait: Google's RetryInfo, Hugging Face's `estimated_time`, or in words."""
    for entry in details:
        if isinstance(delay := entry.get("retryDelay"), str):
            return seconds(delay)
    if isinstance(loading := value.get("estimated_time"), (int, float)):
        return _sane(loading)
    return _asked_pause(message)


def _asked_pause(message: str) -> float | None:
    found = _TRY_AGAIN.search(message[: 8 * MESSAGE_LIMIT])
    return _first_duration(found[1]) if found else None


def _first_duration(text: str) -> float | None:
    run = re.match(rf"(?:{_DURATION.pattern}\s?)+", text.lower())
    return seconds(run[0]) if run else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
