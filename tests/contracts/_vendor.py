"""What a file of `transcripts/` says of its kind of provider: one `VENDOR`, made of these."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from contracts._features import Answer
from headgate.core.faults import Fault


class Refused(Struct, frozen=True):
    """The vendor cannot be asked this: the caller reads so, and which of its fields is meant."""

    field: str


class Error(Struct, frozen=True):
    """An answer that is an error."""

    status: int
    body: Any
    headers: dict[str, str] = {}


class Special(Struct, frozen=True):
    """An exchange that only this vendor has: its answer whole and as a stream, and what of it reaches everybody.

    `extras` are the names of what else is told, for those who know the vendor.
    """

    whole: dict[str, Any]
    stream: list[bytes]
    says: Answer
    extras: tuple[str, ...] = ()


class Api(Struct, frozen=True):
    """Another API of a vendor's, where the callers of one surface are passed on; `never` are what it cannot answer."""

    path: str
    whole: Callable[[Answer], dict[str, Any]]
    stream: Callable[[Answer], list[bytes]]
    in_band: bytes
    never: frozenset[str] = frozenset()
    special: Mapping[str, Special] = {}


class Vendor(Struct, frozen=True, kw_only=True):
    """One kind of provider, as the suite plays it.

    `sent` is the body that each feature's question in OpenAI's words must become, or that it is Refused; `streamed` are
    the fields that a stream adds to it. `never` are features that the vendor's answers cannot have. `tells` are answers
    that it tells in its own way. `signs` says that its thoughts are signed, `names_stop` that it tells which stop
    sequence it met. `in_band` is an error in the middle of a stream, and its fault. `apis` are those of its APIs that
    the callers of one surface reach.
    """

    settings: dict[str, Any] = {}
    model: str
    path: str
    stream_path: str = ""
    credential: tuple[str, str]
    sent: Mapping[str, dict[str, Any] | Refused]
    streamed: dict[str, Any] = {}
    never: frozenset[str] = frozenset()
    tells: Mapping[str, Answer] = {}
    signs: bool = False
    names_stop: bool = False
    whole: Callable[[Answer], dict[str, Any]]
    stream: Callable[[Answer], list[bytes]]
    errors: Mapping[str, Error]
    in_band: tuple[bytes, type[Fault]]
    special: Mapping[str, Special] = {}
    apis: Mapping[str, Api] = {}


class Apart(Struct, frozen=True):
    """A kind that cannot be played, because no vendor's bytes stand behind it, and `why`."""

    why: str


def sse(value: Any, name: str = "", *, end: str = "\n") -> bytes:
    """A Server-Sent Event."""
    head = f"event: {name}{end}" if name else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False)}{end}{end}".encode()


def line(value: Any) -> bytes:
    """A line of newline-delimited JSON."""
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], ())}
