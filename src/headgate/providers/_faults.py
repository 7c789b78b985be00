"""What an upstream's error status means, and when it says to come back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from headgate.core.faults import Fault
from headgate.core.seams import Answered
from headgate.dialects.errors import Complaint, complaint, fault_for, seconds


def fault_of(answered: Answered) -> Fault:
    """The fault of an upstream's answer other than 2xx; `retry_after` in whichever form the provider says it."""
    fault = fault_for(_read(answered.body), answered.status)
    told = retry_after(answered.headers, time.time())
    if told is not None:
        fault.retry_after = told
    elif fault.retry_after is None:
        fault.retry_after = _reset(answered.headers)
    return fault


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by the headers: `retry-after-ms`, `x-ms-retry-after-ms`, `retry-after` (RFC 9110 10.2.3)."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        wait = seconds(headers.get(name, "") + "ms")
        if wait is not None:
            return wait
    value = headers.get("retry-after", "")
    wait = seconds(value)
    if wait is not None or not value:
        return wait
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _reset(headers: Mapping[str, str]) -> float | None:
    """When every used-up limit is free again: `x-ratelimit-reset-X` where `x-ratelimit-remaining-X` is 0."""
    waits = [
        seconds(headers.get(name.replace("remaining", "reset"), ""))
        for name, left in headers.items()
        if name.startswith("x-ratelimit-remaining") and left.strip() == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _read(body: bytes) -> Complaint:
    """The body, if it is JSON or a line of plain text; a web page says nothing."""
    try:
        return complaint(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:2000].decode("utf-8", "replace")
        return Complaint() if "<" in text or text.lstrip()[:1] in ("{", "[") else Complaint(text)
