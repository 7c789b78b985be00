"""Finds every kind of provider and every surface, and plays the transcripts through them.

A new kind is found by itself; all it needs here is a file of its name in `transcripts/`.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec import structs

from contracts._features import FEATURES, Answer, folded
from contracts._vendor import Apart, Api, Refused, Special, Vendor
from headgate.config import load
from headgate.core.call import Call
from headgate.core.entry import Entry
from headgate.core.events import Event, Receipt, Reply
from headgate.core.faults import Fault, Unsupported
from headgate.core.seams import Provider
from headgate.dialects import openai_chat
from headgate.providers import openai
from headgate.providers.kinds import Kind, kinds
from headgate.surfaces.edge import Endpoint
from headgate.surfaces.table import endpoints
from headgate.testing import ScriptedWire

HERE = Path(__file__).parent
SECRET = "secret"
SAID = "Say hello."
"""What every special exchange is asked."""


@cache
def vendor_of(name: str) -> Vendor | Apart:
    """What `transcripts/` says of a kind; presets are played as OpenAI. Raises LookupError where it says nothing."""
    if (HERE / "transcripts" / f"{name}.py").exists():
        vendor: Vendor | Apart = import_module(f"contracts.transcripts.{name}").VENDOR
        return vendor
    if kinds()[name].connect is openai.connect:
        return _preset(kinds()[name])
    raise LookupError(
        f'the provider "{name}" has no transcripts: say in tests/contracts/transcripts/{name}.py how its vendor is '
        "asked and answers; _vendor.py has the words, the files beside it are examples"
    )


def _preset(kind: Kind) -> Vendor:
    """OpenAI's transcripts with the preset's name of the bound on the answer, and those of its APIs that it has."""
    vendor: Vendor = import_module("contracts.transcripts.openai").VENDOR
    options: Any = kind.options()
    bound = options.max_tokens_field or "max_tokens"
    sent = {
        name: {bound if field == "max_completion_tokens" else field: value for field, value in body.items()}
        for name, body in vendor.sent.items()
        if isinstance(body, dict)
    }
    older = {} if options.completions is False else {"completions": _completions()}
    return structs.replace(vendor, model=kind.options.default_model or "model", sent=sent, apis=older)


def _completions() -> Api:
    api: Api = import_module("contracts.transcripts._openai_completions").API
    return api


def playable() -> dict[str, Vendor]:
    """Every kind that has transcripts to be played, by name."""
    found = {}
    for name in sorted(kinds()):
        try:
            vendor = vendor_of(name)
        except LookupError:
            continue
        if isinstance(vendor, Vendor):
            found[name] = vendor
    return found


def own() -> dict[str, Vendor]:
    """The kinds that are not presets: those with a file of their own."""
    return {name: vendor for name, vendor in playable().items() if (HERE / "transcripts" / f"{name}.py").exists()}


@cache
def callers() -> dict[str, ModuleType]:
    """Every surface's caller, by the name of its file."""
    names = sorted(path.stem for path in (HERE / "callers").glob("[!_]*.py"))
    return {name: import_module(f"contracts.callers.{name}") for name in names}


def connected(name: str, vendor: Vendor, *script: bytes | Exception) -> tuple[Provider, ScriptedWire]:
    """A provider of the kind behind a wire that says this."""
    kind, wire = kinds()[name], ScriptedWire(script)
    return kind.connect(kind.options(api_key=SECRET, **vendor.settings), wire), wire


def answers_of(vendor: Vendor, feature: str) -> Answer:
    """What the vendor's answer to this question says."""
    answer = vendor.tells.get(feature, FEATURES[feature].says)
    untold = {} if vendor.signs else {"signature": ""}
    if not vendor.names_stop:
        untold["stop"] = ""
    return structs.replace(answer, choices=tuple(structs.replace(said, **untold) for said in answer.choices))


def offered(vendor: Vendor, feature: str) -> bool:
    """Whether there is an exchange of this kind with the vendor."""
    asked_with = vendor.sent.get(feature)
    return feature not in vendor.never and asked_with is not None and not isinstance(asked_with, Refused)


def script_of(vendor: Vendor, answer: Answer, *, stream: bool) -> list[bytes]:
    """The bytes of an answer."""
    return vendor.stream(answer) if stream else [json.dumps(vendor.whole(answer), ensure_ascii=False).encode()]


def script_of_special(special: Special, *, stream: bool) -> list[bytes]:
    """The bytes of an exchange that only its vendor has."""
    return special.stream if stream else [json.dumps(special.whole, ensure_ascii=False).encode()]


def translated(vendor: Vendor, question: dict[str, Any], *, stream: bool = False) -> Call:
    """A question in OpenAI's words that no provider takes for its own dialect."""
    call = openai_chat.parse({**question, "model": "asked"}, b"")
    return structs.replace(call, dialect="", stream=stream, model=vendor.model)


async def heard(provider: Provider, call: Call) -> list[Event]:
    """All events of an answer."""
    if not call.stream and (answer := getattr(provider, "answer", None)) is not None:
        return list(await answer(call))
    async with aclosing(provider.events(call)) as events:
        return [event async for event in events]


async def heard_until(provider: Provider, call: Call) -> tuple[list[Event], Fault | None]:
    """The events of a stream, and the fault that ended it, if one did."""
    said: list[Event] = []
    try:
        async with aclosing(provider.events(call)) as events:
            async for event in events:
                said.append(event)  # noqa: PERF401 - those before the fault are kept
    except Fault as fault:
        return said, fault
    return said, None


def fold(events: list[Event]) -> Reply:
    """The events as a Reply."""
    reply = Reply()
    for event in events:
        reply.add(event)
    return reply


async def asked(name: str, vendor: Vendor, feature: str, *, stream: bool = False) -> None:
    """Check that the question becomes the vendor's own, or is refused with the field that it is about."""
    sent = vendor.sent[feature]
    provider, wire = connected(name, vendor, *script_of(vendor, FEATURES["text"].says, stream=stream))
    call = translated(vendor, callers()["openai"].QUESTIONS[feature], stream=stream)
    _, fault = await heard_until(provider, call)
    if isinstance(sent, Refused):
        assert isinstance(fault, Unsupported), "it is not refused"
        assert (fault.field, wire.asks) == (sent.field, [])
        assert fault.message
        return
    assert fault is None, fault
    (ask,) = wire.asks
    assert (ask.method, ask.stream) == ("POST", stream)
    assert ask.path == (vendor.stream_path if stream and vendor.stream_path else vendor.path)
    assert vendor.credential in ask.headers
    assert SECRET not in ask.path + ask.body.decode()
    body = json.loads(ask.body)
    if "model" in body:
        assert body.pop("model") == vendor.model
    assert body == sent | (vendor.streamed if stream else {})


async def answered(name: str, vendor: Vendor, feature: str, *, stream: bool) -> Answer:
    """What comes of a question when its answer is understood."""
    script = script_of(vendor, answers_of(vendor, feature), stream=stream)
    provider, _ = connected(name, vendor, *script)
    call = translated(vendor, callers()["openai"].QUESTIONS[feature], stream=stream)
    return folded(fold(await heard(provider, call)))


def endpoint_of(caller: ModuleType) -> Endpoint:
    """The endpoint that the caller asks."""
    return endpoints(load())[caller.PATH]


def asked_on(caller: ModuleType, question: dict[str, Any], model: str, *, stream: bool) -> Call:
    """The Call of a question as it comes from a caller of this surface."""
    fields = {**caller.body(question, stream=stream), "model": model}
    call = endpoint_of(caller).parse(fields, json.dumps(fields).encode())
    call.id, call.surface = "req1", caller.PATH
    return call


def written(caller: ModuleType, call: Call, events: list[Event]) -> bytes:
    """What the caller reads of an answer, its receipt included."""
    endpoint = endpoint_of(caller)
    reply = fold(events)
    reply.entry = _entry(call, reply)
    if not call.stream:
        return endpoint.whole(call, reply)
    writer = endpoint.writer(call)
    return b"".join(map(writer.feed, [*events, Receipt(reply.entry)]))


def _entry(call: Call, reply: Reply) -> Entry:
    entry = Entry(id="1", at=0.0, request_id=call.id, provider="here", target=call.model)
    if reply.usage is not None:
        entry.tokens_in, entry.tokens_out = reply.usage.tokens_in, reply.usage.tokens_out
        entry.cached, entry.cache_write = reply.usage.cached, reply.usage.cache_write
        entry.reasoning = reply.usage.reasoning
    return entry


def api_of(vendor: Vendor, surface: str) -> Vendor:
    """The vendor as a caller of this surface reaches it."""
    api = vendor.apis.get(surface)
    if api is None:
        return vendor
    in_band = (api.in_band, vendor.in_band[1])
    return structs.replace(
        vendor,
        path=api.path,
        whole=api.whole,
        stream=api.stream,
        in_band=in_band,
        never=vendor.never | api.never,
        special=api.special,
        signs=True,
    )


async def spoken(caller: ModuleType, name: str, vendor: Vendor, feature: str, *, stream: bool) -> Answer:
    """What a caller of a surface hears when it asks this of this vendor."""
    script = script_of(vendor, answers_of(vendor, feature), stream=stream)
    provider, wire = connected(name, vendor, *script)
    call = asked_on(caller, caller.QUESTIONS[feature], vendor.model, stream=stream)
    events = await heard(provider, call)
    assert wire.asks[0].path == (vendor.stream_path if stream and vendor.stream_path else vendor.path)
    return hear(caller, written(caller, call, events), stream=stream)


def hear(caller: ModuleType, data: bytes, *, stream: bool) -> Answer:
    """What the bytes say to a caller of this surface."""
    answer: Answer = caller.hear_stream(data) if stream else caller.hear_whole(data)
    return answer


async def result(name: str, vendor: Vendor, feature: str) -> str:
    """How a feature stands at a provider: `works`, `refused` or `never`. Raises AssertionError where a check fails."""
    await asked(name, vendor, feature)
    if isinstance(vendor.sent[feature], Refused):
        return "refused"
    if not offered(vendor, feature):
        return "never"
    for stream in (False, True):
        assert await answered(name, vendor, feature, stream=stream) == answers_of(vendor, feature)
        for surface, caller in callers().items():
            reached = api_of(vendor, surface)
            if feature in caller.QUESTIONS and offered(reached, feature):
                said = await spoken(caller, name, reached, feature, stream=stream)
                assert said == caller.heard_as(answers_of(reached, feature))
    return "works"
