"""`Trace`: a call's place in a distributed trace (W3C Trace Context, https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
from random import getrandbits

from msgspec import Struct

HEADER = "traceparent"

_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Trace(Struct, frozen=True):
    """The trace's id, the id of the call's own span, and that of the caller's (empty: the call begins the trace).

    `told` says that upstreams are to hear of it.
    """

    id: str
    span: str
    parent: str = ""
    sampled: bool = True
    told: bool = False

    @property
    def header(self) -> str:
        """The `traceparent` for upstreams."""
        return f"00-{self.id}-{self.span}-{self.sampled:02x}"


def begun(*, sampled: bool, told: bool = False) -> Trace:
    """A trace that begins with the call."""
    return Trace(f"{getrandbits(128) or 1:032x}", new_span(), "", sampled, told)


def continued(traceparent: bytes, *, told: bool = False) -> Trace | None:
    """The caller's trace, its decision on sampling included; None for a header that is none (3.2)."""
    found = _FORM.fullmatch(traceparent.strip())
    if found is None:
        return None
    version, trace, parent, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more) or not trace.strip(b"0") or not parent.strip(b"0"):
        return None
    return Trace(trace.decode(), new_span(), parent.decode(), bool(int(flags, 16) & 1), told)


def new_span() -> str:
    """The id of a new span: 16 hexadecimal digits, not all zero."""
    return f"{getrandbits(64) or 1:016x}"
