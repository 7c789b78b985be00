"""The simple surface's questions to documents: what a body asks, and how an answer with its sources is told.

The stream: one `event: sources`, `{"delta": "…"}` many times, one `event: citations`, one `event: done` with the rest,
then `[DONE]`; or one `event: error`, and no `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct, structs

from headgate.core.asking import (
    CITATIONS,
    SOURCES,
    VENDOR,
    VERDICT,
    Citation,
    Question,
    Retrieved,
    Turn,
    Verdict,
)
from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.entry import Entry
from headgate.core.events import Event, Extra, Receipt, Refusal, Reply, Text
from headgate.core.faults import InvalidField
from headgate.core.knowledge import Found, Mode
from headgate.dialects import simple
from headgate.dialects.simple import FINISH, MAX_CHARS, NAME, refuse_unknown
from headgate.dialects.sse import frame
from headgate.dialects.strict import check_count, check_flag, check_number, check_object, check_text, want_text

PREVIEW = 300
"""Characters of a passage that are shown beside an answer."""

MOST_SOURCES = 50
MOST_TURNS = 100
MOST_COLLECTIONS = 32
_MOST_TOKENS = 10_000_000
_NOTHING = Retrieved(())
_NO_VERDICT = Verdict(answered=True, grounded=False)

_encode = msgspec.json.Encoder().encode


class Shape(Struct, frozen=True):
    """One path that asks documents.

    With `own` a request may say how: collections, model, thresholds; else only what it asks, and `input` for each of
    `inputs`.
    """

    ask: str = "question"
    answer: str = "answer"
    own: bool = True
    inputs: tuple[str, ...] = ()
    max_chars: int = MAX_CHARS

    @property
    def known(self) -> frozenset[str]:
        """Every field that a request may have."""
        return frozenset({self.ask, "history", "evaluate", "stream"}) | (_OWN if self.own else {"input"})

    def parse(self, fields: dict[str, Any], body: bytes) -> Call:
        """The Call that a body asks for. Raises InvalidField, naming the field."""
        refuse_unknown(fields, self.known)
        self._check_length(self.ask, fields)
        self._check_inputs(_inputs(fields))
        for name, check in _CHECKS.items():
            check(name, fields.get(name))
        return Call(
            model=fields.get("model") or "",
            understand=self.understand,
            dialect=NAME,
            stream=fields.get("stream") or False,
            _fields=fields,
            body=body,
            max_tokens=fields.get("max_tokens"),
        )

    def _check_inputs(self, inputs: dict[str, Any]) -> None:
        for name in self.inputs:
            self._check_length(name, inputs)
        unknown = sorted(inputs.keys() - set(self.inputs))
        if unknown:
            known = f"known are {', '.join(self.inputs)}" if self.inputs else "it takes none"
            raise InvalidField(f"no input {unknown[0][:100]!r}; {known}", field="input")

    def _check_length(self, name: str, fields: dict[str, Any]) -> None:
        if not 1 <= len(want_text(fields, name)) <= self.max_chars:
            raise InvalidField(f"{name} must have 1 to {self.max_chars} characters", field=name)

    def understand(self, fields: dict[str, Any]) -> Prompt:
        """The question alone; what a model is told of it is made once its sources are known."""
        said = Message("user", (TextPart(fields[self.ask]),))
        return Prompt(messages=(said,), max_tokens=fields.get("max_tokens"), temperature=fields.get("temperature", 0.0))

    def question(self, fields: dict[str, Any], defaults: Question) -> Question:
        """The question of a checked body, with defaults for what it does not say."""
        said = {name: fields[name] for name in _SAID if fields.get(name) is not None}
        said["filter"] = fields.get("filters") or {}
        if "collections" in said:
            said["collections"] = tuple(said["collections"])
        history = tuple(Turn(turn["role"], turn["content"]) for turn in fields.get("history") or ())
        return structs.replace(defaults, text=fields[self.ask], history=history, inputs=_inputs(fields), **said)

    def whole(self, call: Call, reply: Reply) -> bytes:  # noqa: ARG002 - every surface's has this form
        """The reply as a body."""
        assert reply.entry is not None  # noqa: S101 - a reply is written once its Receipt is in
        choice = reply.choice(0)
        finish = FINISH[choice.done.reason] if choice.done else "other"
        words = choice.text + choice.refusal
        return _encode({self.answer: words, **beside(reply), **metadata(reply.entry, finish)})

    def writer(self, call: Call) -> Writer:  # noqa: ARG002 - every surface's has this form
        """The Writer of one stream."""
        return Writer()


class Writer:
    """Writes the stream of one answer."""

    def __init__(self) -> None:
        self._folded = Reply()
        self._verdict = _NO_VERDICT

    def feed(self, event: Event) -> bytes:
        """The bytes for one event."""
        match event:
            case Text() | Refusal():
                return frame(_encode({"delta": event.text})) if event.text else b""
            case Extra(vendor="headgate", name="sources"):
                return frame(_encode(sources_body(event.value)), b"sources")
            case Extra(vendor="headgate", name="citations"):
                return frame(_encode({"citations": citations_body(event.value)}), b"citations")
            case Extra(vendor="headgate", name="verdict"):
                self._verdict = event.value
            case Receipt():
                done = self._folded.choice(0).done
                told = metadata(event.entry, FINISH[done.reason] if done else "other")
                return frame(_encode({**verdict_body(self._verdict), **told}), b"done") + frame(b"[DONE]")
            case _:
                self._folded.add(event)
        return b""

    def fail(self, error: bytes) -> bytes:
        """The rendered error as the last event; no `[DONE]` follows."""
        return frame(error, b"error")


class Generate(simple.Shape, frozen=True):
    """`/generate`, which answers from documents where `use_context` asks for it."""

    def parse(self, fields: dict[str, Any], body: bytes) -> Call:
        """The Call that a body asks for. Raises InvalidField, naming the field."""
        call = super().parse(fields, body)
        if fields.get("collections") is not None and not fields.get("use_context"):
            raise InvalidField("collections are searched where use_context is true: send it too", field="use_context")
        return call

    def whole(self, call: Call, reply: Reply) -> bytes:
        """The reply as a body; with context its sources too."""
        body = super().whole(call, reply)
        return _encode({**msgspec.json.decode(body), **beside(reply)}) if call.fields.get("use_context") else body

    def question(self, fields: dict[str, Any], defaults: Question) -> Question:
        """The question of a checked body, with defaults for what it does not say."""
        _check_collections("collections", fields.get("collections"))
        return structs.replace(defaults, text=fields[self.ask], collections=tuple(fields.get("collections") or ()))


def beside(reply: Reply) -> dict[str, Any]:
    """What is told beside the words of an answer from documents."""
    told = {extra.name: extra.value for extra in reply.choice(0).extras if extra.vendor == VENDOR}
    return {
        **verdict_body(told.get(VERDICT, _NO_VERDICT)),
        **sources_body(told.get(SOURCES, _NOTHING)),
        "citations": citations_body(told.get(CITATIONS, ())),
    }


def source_body(found: Found) -> dict[str, Any]:
    """A passage, and where it stands in which document."""
    passage = found.passage
    return {
        "title": passage.title,
        "path": list(passage.path),
        "content_preview": passage.text[:PREVIEW],
        "similarity_score": round(found.similarity, 4),
        "score_kind": found.kind,
        "collection": found.collection,
        "document_id": passage.document_id,
        "chunk_id": passage.id,
        "start": passage.start,
        "end": passage.end,
    }


def sources_body(retrieved: Retrieved) -> dict[str, Any]:
    """What was looked up, the sources, and those that had no place in the prompt."""
    return {
        "query": retrieved.query,
        "sources": [{"n": source.n, **source_body(source.found)} for source in retrieved.sources],
        "sources_dropped": [source_body(found) for found in retrieved.dropped],
    }


def citations_body(citations: tuple[Citation, ...]) -> list[dict[str, int]]:
    """The marks of an answer; places are counted in Unicode characters."""
    return [{"start": each.start, "end": each.end, "source_n": each.source_n} for each in citations]


def verdict_body(verdict: Verdict) -> dict[str, Any]:
    """What became of the question; `evaluation` where it was wanted."""
    body: dict[str, Any] = {"answered": verdict.answered, "grounded": verdict.grounded}
    if verdict.evaluation is not None:
        body["evaluation"] = msgspec.to_builtins(verdict.evaluation)
    return body


def metadata(entry: Entry, finish: str) -> dict[str, Any]:
    """What happened, beside the answer's words: of all calls that the answer took."""
    return {
        "model": entry.target,
        "provider": entry.provider,
        "input_tokens": entry.tokens_in,
        "output_tokens": entry.tokens_out,
        "tokens_used": entry.tokens_in + entry.tokens_out,
        "cost_usd": entry.cost_usd,
        "latency_ms": round(entry.total_ms, 1),
        "finish_reason": finish,
        "cached": entry.cache == "hit",
        "request_id": entry.request_id,
    }


def _inputs(fields: dict[str, Any]) -> dict[str, Any]:
    check_object("input", fields.get("input"))
    return fields.get("input") or {}


def _check_collections(name: str, value: Any) -> None:
    if value is None:
        return
    if type(value) is not list or any(type(each) is not str or not each for each in value):
        raise InvalidField(f"{name} must be an array of names", field=name)
    if len(value) > MOST_COLLECTIONS:
        raise InvalidField(f"{name} may name at most {MOST_COLLECTIONS}", field=name)


def _check_filters(name: str, value: Any) -> None:
    check_object(name, value)
    for field, wanted in (value or {}).items():
        values = wanted if type(wanted) is list else [wanted]
        if any(type(each) not in {str, int, float, bool} for each in values):
            raise InvalidField(
                f"{name}.{field[:50]} must be a value, or a list of values", field=f"{name}.{field[:50]}"
            )


def _check_mode(name: str, value: Any) -> None:
    if value is not None and value not in get_args(Mode):
        raise InvalidField(f"{name} must be one of {', '.join(get_args(Mode))}", field=name)


def _check_history(name: str, value: Any) -> None:
    if value is None:
        return
    if type(value) is not list or len(value) > MOST_TURNS:
        raise InvalidField(f"{name} must be an array of at most {MOST_TURNS} turns", field=name)
    for at, turn in enumerate(value):
        if type(turn) is not dict or turn.keys() != {"role", "content"} or type(turn["content"]) is not str:
            raise InvalidField(f"{name}[{at}] must be an object with role and content", field=f"{name}[{at}]")
        if turn["role"] not in get_args(_ROLES):
            raise InvalidField(f"{name}[{at}].role must be user or assistant", field=f"{name}[{at}].role")


_ROLES = Literal["user", "assistant"]
_SAID = ("collections", "top_k", "min_similarity", "mode", "evaluate")
_OWN = {"collections", "top_k", "min_similarity", "mode", "filters", "max_tokens", "model", "temperature"}
_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "model": check_text,
    "stream": check_flag,
    "evaluate": check_flag,
    "filters": _check_filters,
    "collections": _check_collections,
    "mode": _check_mode,
    "history": _check_history,
    "temperature": lambda name, value: check_number(name, value, 0, 2),
    "min_similarity": lambda name, value: check_number(name, value, 0, 1),
    "top_k": lambda name, value: check_count(name, value, 1, MOST_SOURCES),
    "max_tokens": lambda name, value: check_count(name, value, 1, _MOST_TOKENS),
}

GENERATE = Generate("prompt", "output", also=frozenset({"use_context", "collections"}))
