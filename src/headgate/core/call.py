"""`Call`: what someone wants from a model, in no vendor's words.

A Call is read in two depths. The envelope (model, stream, bounds) is filled at the door for every
request. The `Prompt` (messages, tools, parameters) is understood only when somebody needs it: a
request that goes to a provider of its own dialect travels as the caller's bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType, field, json, structs

from headgate.core.faults import Forbidden
from headgate.core.trace import Trace

Role = Literal["system", "user", "assistant", "tool"]

_decode = json.Decoder().decode


class Relay(Protocol):
    """The short way of an answer's pieces, in the caller's dialect, to the caller, who has been given all before them.

    `relayed` counts those that went it.
    """

    relayed: int

    def relay(self, piece: bytes) -> bool:
        """Send the piece; False where that cannot be now, and it has to go the long way, as an event."""
        ...


class TextPart(Struct, frozen=True):
    """Plain words."""

    text: str
    extra: dict[str, Any] = {}


class MediaPart(Struct, frozen=True):
    """An image, a sound or a file: `data` (base64) with its `mime` type, or a `url`, or a vendor's `file_id`."""

    kind: Literal["image", "audio", "file"]
    mime: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    name: str = ""
    extra: dict[str, Any] = {}


class ThinkingPart(Struct, frozen=True):
    """A model's own earlier reasoning, sent back to it; `signature` proves it unaltered, `redacted` is opaque."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


class RefusalPart(Struct, frozen=True):
    """A model's earlier refusal."""

    text: str


class CallPart(Struct, frozen=True):
    """A tool call the model made; `arguments` is JSON text, `signature` belongs to the thought behind it."""

    id: str
    name: str
    arguments: str = "{}"
    signature: str = ""


class ResultPart(Struct, frozen=True):
    """What a tool answered to the CallPart with the same `id`."""

    id: str
    parts: tuple[TextPart | MediaPart, ...] = ()
    name: str = ""
    failed: bool = False

    @property
    def text(self) -> str:
        """The words of the result, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


Part = TextPart | MediaPart | ThinkingPart | RefusalPart | CallPart | ResultPart


class Message(Struct, frozen=True):
    """One turn. Tool results are turns of role `tool`."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""
    extra: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The plain words of the turn, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


class Tool(Struct, frozen=True):
    """A function the model may call; `schema` is JSON Schema of its arguments."""

    name: str
    description: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    extra: dict[str, Any] = {}


class ToolChoice(Struct, frozen=True):
    """Whether the model must call a tool: `named` means exactly `name`."""

    mode: Literal["auto", "none", "required", "named"]
    name: str = ""


class Format(Struct, frozen=True):
    """The form of the answer: any JSON object, or JSON that fits `schema`."""

    kind: Literal["json", "schema"]
    schema: dict[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Reasoning(Struct, frozen=True):
    """How much to think: a word (`none`, `minimal`, `low`, `medium`, `high`, …) or a `budget` in tokens."""

    effort: str = ""
    budget: int | None = None
    show: bool | None = None


class Prompt(Struct, frozen=True, kw_only=True):
    """Everything the caller said, in one vocabulary. `None` means: not said, the vendor's default holds.

    `extra` keeps, under their original names, the fields of the caller's dialect that are not modelled.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    format: Format | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning: Reasoning | None = None
    user: str = ""
    extra: dict[str, Any] = {}

    @property
    def system(self) -> str:
        """All system turns, joined by blank lines."""
        return "\n\n".join(m.text for m in self.messages if m.role == "system")

    @property
    def turns(self) -> tuple[Message, ...]:
        """The messages without the system turns."""
        return tuple(m for m in self.messages if m.role != "system")


class Clocks(Struct, frozen=True):
    """Timeouts of one attempt, in seconds: to connect, to the first event, between bytes, and in all."""

    connect: float = 5.0
    first_event: float = 60.0
    idle: float = 60.0
    total: float = 600.0


class System(Struct, frozen=True):
    """The operator's own system prompt, and what the caller's may do beside it."""

    text: str
    policy: Literal["append", "replace", "forbid"] = "append"


class Reuse(Struct, frozen=True):
    """A call that may be answered by what was answered before: read where `read`, and at most `max_age` seconds old."""

    read: bool = True
    max_age: float = float("inf")


class Call(Struct, kw_only=True):
    """One request for a model's answer, as it travels from the door to a provider.

    `body` is the caller's, as it came (empty when made in code), and `fields` the same decoded; `asked` is the model's
    name in it. `headers` are those of the caller's headers that an upstream of the same dialect is to see, names in
    lower case.
    `max_tokens` is the most tokens the answer may have; where it is `bounded` the bound is ours, and the upstream is
    told it in the place of the caller's. `deadline` is a `time.monotonic()` second. Without `reuse` nothing is cached.
    `relay` is the short way of a stream's pieces, if there is one.
    """

    model: str
    understand: Callable[[dict[str, Any]], Prompt]
    dialect: str = ""
    stream: bool = False
    body: bytes = b""
    asked: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    max_tokens: int | None = None
    bounded: bool = False
    n: int = 1
    usage_wanted: bool = False
    id: str = ""
    surface: str = ""
    address: str = ""
    trace: Trace | None = None
    system: System | None = None
    clocks: Clocks = Clocks()
    deadline: float = float("inf")
    reuse: Reuse | None = None
    relay: Relay | None = None
    _fields: dict[str, Any] | UnsetType = UNSET
    _prompt: Prompt | UnsetType = UNSET

    @property
    def fields(self) -> dict[str, Any]:
        """The caller's body, decoded; one that was read as an envelope only is decoded now."""
        if isinstance(self._fields, UnsetType):
            self._fields = _decode(self.body) if self.body else {}
        return self._fields

    @property
    def prompt(self) -> Prompt:
        """The full meaning, understood once; the operator's system prompt is already in it."""
        if isinstance(self._prompt, UnsetType):
            prompt = with_system(self.understand(self.fields), self.system)
            self._prompt = structs.replace(prompt, max_tokens=self.max_tokens) if self.bounded else prompt
        return self._prompt

    def end_by(self, deadline: float) -> None:
        """Let the call end by this monotonic second, if not sooner."""
        if deadline < self.deadline:  # noqa: PLR1730 - a call of min costs more
            self.deadline = deadline

    def bound(self, tokens: int) -> None:
        """Set a bound of ours on the answer."""
        self.max_tokens, self.bounded = tokens, True
        if not isinstance(self._prompt, UnsetType):
            self._prompt = structs.replace(self._prompt, max_tokens=tokens)

    def rewrite(self, fields: dict[str, Any], body: bytes) -> None:
        """Put other words in the place of the caller's: decoded, and as the bytes that may be passed on."""
        self._fields, self.body, self._prompt = fields, body, UNSET

    def aimed(self, model: str, system: System | None, clocks: Clocks) -> Call:
        """The call for one target: the upstream's own model name, the route's system prompt and timeouts.

        It is a copy wherever something of that is another.
        """
        if system is self.system:
            same = model == self.model and clocks == self.clocks
            return self if same else structs.replace(self, model=model, clocks=clocks)
        return structs.replace(self, model=model, system=system, clocks=clocks, _prompt=UNSET)


def with_system(prompt: Prompt, system: System | None) -> Prompt:
    """The prompt with the operator's system text in front; under `replace` the caller's own wins if there is one.

    Raises Forbidden for one of the caller's where the policy is `forbid`.
    """
    if system is not None and system.policy == "forbid" and prompt.system:
        raise Forbidden("your tier may not send a system prompt", field="messages")
    if system is None or not system.text or (system.policy == "replace" and prompt.system):
        return prompt
    first = Message("system", (TextPart(system.text),))
    return structs.replace(prompt, messages=(first, *prompt.messages))
