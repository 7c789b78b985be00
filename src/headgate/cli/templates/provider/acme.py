"""Acme: everything that is peculiar to this vendor, and nothing else.

Its API, to be replaced by the real one: `POST /chat` with `{"model", "messages", "max_tokens", "temperature",
"stream"}` answers with `{"id", "model", "text", "finish", "usage"}`; a stream has `{"text"}` many times and ends with
`{"finish", "usage"}`. Once the vendor can do more, say it in `ask`, and name it there to `refuse_others`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from headgate.core.call import Call
from headgate.core.events import Begin, Done, Event, Reason, Text, Usage
from headgate.core.faults import UpstreamBroken
from headgate.core.seams import Ask, Provider, Reader, Wire
from headgate.dialects.errors import fault_in_band
from headgate.dialects.sse import SseReader, WholeReader
from headgate.providers import _http

_FINISH: dict[str, Reason] = {"stop": "stop", "length": "length"}
_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """What `[providers.acme]` may say besides `api_key`, `base_url` and `headers`: add fields here."""

    env: ClassVar[Mapping[str, str]] = {"ACME_API_KEY": "api_key"}
    default_model: ClassVar[str] = "acme-1"

    base_url: str = "https://api.acme.example/v1"


class Acme(_http.HttpProvider):
    """Chat at Acme."""

    def ask(self, call: Call) -> Ask:
        """The request for a call."""
        prompt = call.prompt
        _http.refuse_others(prompt, "acme", "max_tokens", "temperature")
        body = {
            "model": call.model,
            "messages": [{"role": message.role, "content": message.text} for message in prompt.messages],
            "max_tokens": prompt.max_tokens or 1024,
            "stream": call.stream,
        }
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        return Ask(path="/chat", body=_encode(body), headers=_http.bearer(self.options.api_key), stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """What reads the answer."""
        return StreamReader() if call.stream else AnswerReader()


class StreamReader(SseReader):
    """A stream: sets `finished` when the vendor says that the answer is complete, and only then."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:  # noqa: ARG002 -- this vendor names no events
        """What one frame means."""
        if data.get("error"):
            raise fault_in_band(data)
        if not self._begun:
            self._begun = True
            yield _begin(data)
        if "finish" in data:
            self.finished = True
        yield from _meaning(data)


class AnswerReader(WholeReader):
    """An answer in one piece."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """What the answer means."""
        if data.get("error"):
            raise fault_in_band(data)
        if "finish" not in data:
            raise UpstreamBroken("acme sent an answer without an end")
        return [_begin(data), *_meaning(data)]


def _begin(data: dict[str, Any]) -> Begin:
    """The first event: the vendor's own id of the answer, and the exact model that speaks."""
    return Begin(data.get("id", ""), data.get("model", ""))


def _meaning(data: dict[str, Any]) -> Iterable[Event]:
    """The events of a frame or a whole answer."""
    if data.get("text"):
        yield Text(data["text"])
    if "usage" in data:
        yield Usage(data["usage"]["input"], data["usage"]["output"])
    if "finish" in data:
        yield Done(_FINISH.get(data["finish"], "other"), raw=data["finish"])


def connect(options: Options, wire: Wire) -> Provider:
    """The provider that these settings describe."""
    return Acme(options, wire)
