"""What every provider that speaks HTTP shares. The sockets are `_wire.py`'s; vendors know neither."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, NoReturn, Self

from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from headgate.config.values import Names
from headgate.core.call import Call, CallPart, MediaPart, Prompt, Reasoning, ResultPart
from headgate.core.embedding import EmbedCall
from headgate.core.events import Event
from headgate.core.faults import Fault, Unsupported, UpstreamBroken
from headgate.core.seams import Answered, Ask, Events, Reader, Wire
from headgate.core.trace import HEADER
from headgate.providers._faults import fault_of

STRANGE = (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError)
"""What a Reader stumbles with over an answer whose parts are not of the kinds that its dialect has."""

_FAILURES = (Answered, Fault, *STRANGE)

_LEAST_SECRET = 6
"""Characters of a setting that is taken for a secret wherever it turns up."""

_HINTS = ("messages", "user", "extra")
_USUAL = {
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "parallel_tools": True,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "reasoning": Reasoning(effort="none"),
}
_FIELDS = {
    "parallel_tools": "parallel_tool_calls",
    "format": "response_format",
    "reasoning": "reasoning_effort",
}
log = logging.getLogger("headgate")


class Options(BaseModel):
    """Settings of one `[providers.NAME]`; a provider's own `Options` adds to them and overrides the defaults.

    `env` are the well-known variables that configure the provider without a file, each with the setting that it
    fills (the first one set wins); `default_model` is asked when nobody named a model.
    Several keys are a pool: `api_keys`, or a list as `api_key`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    env: ClassVar[Mapping[str, str]] = {}
    default_model: ClassVar[str] = ""

    api_key: str = Field("", repr=False)
    api_keys: Names = Field((), repr=False)
    base_url: str = ""
    headers: dict[str, str] = Field({}, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _one_key_or_several(cls, said: Any) -> Any:
        if isinstance(said, dict) and isinstance(said.get("api_key"), list):
            if said.get("api_keys"):
                raise ValueError("take either a list as `api_key` or `api_keys`")
            return {**said, "api_key": "", "api_keys": said["api_key"]}
        return said

    @field_validator("api_key", "api_keys")
    @classmethod
    def _fits_a_header(cls, keys: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for key in (keys,) if isinstance(keys, str) else keys:
            if key and not (key.isascii() and key.isprintable() and " " not in key):
                raise ValueError("has characters that cannot travel in a header")
        return keys

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is not shown of the settings: keys, and headers that may hold them. Short ones could be anything."""
        hidden = [getattr(self, name) for name, field in type(self).model_fields.items() if not field.repr]
        said = [text for value in hidden for text in _texts(value)]
        return tuple(sorted({text for text in said if len(text) >= _LEAST_SECRET}, key=len, reverse=True))

    @property
    def each_key(self) -> tuple[Self, ...]:
        """The settings with one key each, in the order of the configuration."""
        keys = dict.fromkeys(key for key in (self.api_key, *self.api_keys) if key)
        return tuple(self.model_copy(update={"api_key": key, "api_keys": ()}) for key in keys) or (self,)

    @classmethod
    def found(cls, environ: Mapping[str, str]) -> dict[str, str]:
        """The settings that the well-known variables make; empty where none of them is set."""
        settings: dict[str, str] = {}
        for variable, setting in cls.env.items():
            if environ.get(variable):
                settings.setdefault(setting, environ[variable])
        return settings


class HttpProvider:
    """A provider behind HTTP. A vendor's file writes `ask` and `reader`, and `fault` where its errors are peculiar."""

    dialect: ClassVar[str] = ""

    def __init__(self, options: Options, wire: Wire) -> None:
        self.options = options
        self.wire = wire
        self._secrets = options.secrets

    def ask(self, call: Call) -> Ask:
        """The upstream's request for a call. Raises Unsupported, naming the feature, for what the vendor cannot do."""
        raise NotImplementedError

    def reader(self, call: Call) -> Reader:
        """A fresh Reader for the answer to this call, streamed or whole as `call.stream` says."""
        raise NotImplementedError

    def fault(self, answered: Answered) -> Fault:
        """What a status other than 2xx means."""
        return fault_of(answered)

    def refused(self, call: Call, answered: Answered) -> Fault:  # noqa: ARG002 - for those to whom the call matters
        """What a status other than 2xx means as the answer to a call."""
        return self.fault(answered)

    async def events(self, call: Call) -> Events:
        """Ask, and say what comes back."""
        reader, ask = self.reader(call), _traced(self.ask(call), call)
        if not ask.stream:
            for event in await self.answer(call):
                yield event
            return
        ask = _relaying(ask, call, reader)
        try:
            async with aclosing(self.wire.chunks(ask, call.clocks, call.deadline)) as chunks:
                async for chunk in chunks:
                    for event in reader.feed(chunk):
                        yield event
            for event in reader.close():
                yield event
        except _FAILURES as error:
            self._failed(call, error)

    async def answer(self, call: Call) -> Sequence[Event]:
        """Ask for a whole answer, and say all that it says."""
        reader, ask = self.reader(call), _traced(self.ask(call), call)
        try:
            reader.feed(await self.wire.fetch(ask, call.clocks, call.deadline))
            said = reader.close()
            return said if type(said) is list else list(said)
        except _FAILURES as error:
            self._failed(call, error)

    async def fetch(self, ask: Ask, call: Call | EmbedCall) -> bytes:
        """The whole body of an answer that is no stream, within the call's time. Raises Faults."""
        try:
            return await self.wire.fetch(_traced(ask, call), call.clocks, call.deadline)
        except Answered as answered:
            raise self._discreet(self.fault(answered)) from None

    def _failed(self, call: Call, error: Exception) -> NoReturn:
        """Raise what a failed call means, without our own secrets."""
        if isinstance(error, Answered):
            raise self._discreet(self.refused(call, error)) from None
        if isinstance(error, Fault):
            raise self._discreet(error)
        raise _strange(error) from error

    def _discreet(self, fault: Fault) -> Fault:
        """The fault without our own secrets, of whatever form: an upstream may quote what it was sent."""
        for secret in self._secrets:
            fault.message = fault.message.replace(secret, "[redacted]")
        return fault


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    values = value.values() if isinstance(value, Mapping) else value or ()
    return (each for each in values if isinstance(each, str))


def refuse_others(prompt: Prompt, vendor: str, *known: str) -> None:
    """Raise Unsupported, naming the field, for what a prompt says beyond its words and what the vendor takes.

    `known` are fields of Prompt, and kinds of MediaPart. What changes nothing for the caller may be said anyway.
    """
    for name in prompt.__struct_fields__:
        value = getattr(prompt, name)
        if name not in (*_HINTS, *known) and value not in (None, ()) and value != _USUAL.get(name):
            raise Unsupported(f"{vendor} does not support {_FIELDS.get(name, name)}", field=_FIELDS.get(name, name))
    for message in prompt.messages:
        for part in message.parts:
            if isinstance(part, MediaPart) and part.kind not in known:
                raise Unsupported(f"{vendor} does not take {part.kind} parts", field="messages")
            if isinstance(part, CallPart | ResultPart) and "tools" not in known:
                raise Unsupported(f"{vendor} does not support tools", field="messages")


def _relaying(ask: Ask, call: Call, reader: Reader) -> Ask:
    """The request with a way past all of us for what only the caller has to read."""
    passes = getattr(reader, "passes", None)
    if call.relay is None or passes is None:
        return ask
    relay = call.relay.relay
    return structs.replace(ask, relay=lambda chunk: passes(chunk) and relay(chunk))


def _traced(ask: Ask, call: Call | EmbedCall) -> Ask:
    """The request with the call's trace, where upstreams are to hear of it."""
    trace = call.trace
    if trace is None or not trace.told:
        return ask
    return structs.replace(ask, headers=(*ask.headers, (HEADER, trace.header)))


def bearer(api_key: str) -> tuple[tuple[str, str], ...]:
    """The header that carries a key (RFC 6750 2.1); none without a key."""
    return (("authorization", f"Bearer {api_key}"),) if api_key else ()


def _strange(error: Exception) -> Fault:
    log.warning("an answer of a shape nobody expects: %s", type(error).__name__, exc_info=error)
    return UpstreamBroken("the upstream sent an answer of an unexpected shape")
