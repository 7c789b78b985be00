"""OpenAI's chat completions, the caller's side: a body becomes a Call, and its meaning a Prompt.

https://platform.openai.com/docs/api-reference/chat/create. Fields that are not known here are never refused: they stay
in the body, and in `Prompt.extra`. Known ones are checked at the door, so that no provider sees nonsense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from headgate.core.call import (
    Call,
    CallPart,
    Format,
    MediaPart,
    Message,
    Part,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    Role,
    TextPart,
    ThinkingPart,
    Tool,
    ToolChoice,
)
from headgate.core.faults import InvalidField
from headgate.dialects.strict import (
    check_count,
    check_flag,
    check_number,
    check_object,
    check_objects,
    check_text,
)

NAME = "openai-chat"

Check = Callable[[str, Any], None]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_PLAIN = tuple(_ROLES)  # not the dict: whatever a caller sends may be compared with it
_MOST_TOKENS = 10_000_000


def _check_stop(name: str, value: Any) -> None:
    texts = value if type(value) is list else [value]
    if value is not None and any(type(text) is not str for text in texts):
        raise InvalidField(f"{name} must be a string or an array of strings", field=name)


def _check_choice(name: str, value: Any) -> None:
    if value is not None and type(value) not in {str, dict}:
        raise InvalidField(f"{name} must be a string or an object", field=name)


_CHECKS: dict[str, Check] = {
    "model": check_text,
    "stream": check_flag,
    "stream_options": check_object,
    "max_tokens": lambda name, value: check_count(name, value, 1, _MOST_TOKENS),
    "max_completion_tokens": lambda name, value: check_count(name, value, 1, _MOST_TOKENS),
    "temperature": lambda name, value: check_number(name, value, 0, 2),
    "top_p": lambda name, value: check_number(name, value, 0, 1),
    "presence_penalty": lambda name, value: check_number(name, value, -2, 2),
    "frequency_penalty": lambda name, value: check_number(name, value, -2, 2),
    "n": lambda name, value: check_count(name, value, 1, 128),
    "seed": lambda name, value: check_count(name, value, -(2**63), 2**63 - 1),
    "logprobs": check_flag,
    "top_logprobs": lambda name, value: check_count(name, value, 0, 20),
    "parallel_tool_calls": check_flag,
    "tools": check_objects,
    "functions": check_objects,
    "tool_choice": _check_choice,
    "function_call": _check_choice,
    "response_format": check_object,
    "stop": _check_stop,
    "user": check_text,
    "reasoning_effort": check_text,
}
_MODELLED = frozenset(_CHECKS) | {"messages"}


class _Words(Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str


_Count = Annotated[int, Meta(ge=1, le=_MOST_TOKENS)] | None


class _Envelope(Struct, gc=False):
    """What the door has to know; most bodies have hardly more, and are checked as this is made of them."""

    messages: Annotated[list[_Words], Meta(min_length=1)]
    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, bool | None] | None = None
    max_tokens: _Count = None
    max_completion_tokens: _Count = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    user: str | None = None


class _Plain(_Envelope, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A body that says nothing else."""


_SHORT = 1000
"""Bytes of a body that is decoded in vain sooner than looked through."""

_ENVELOPE = frozenset(_Envelope.__struct_fields__)
_INSIDE = _MODELLED - _ENVELOPE

_decode = msgspec.json.Decoder(_Plain).decode
_encode = msgspec.json.Encoder().encode


def glance(body: bytes) -> Call | None:
    """The Call that a plain body asks for, decoded but once, as what the door has to know; None of any other.

    A body that has no more colons than were read from it has no key twice: see `strict.read_object`.
    """
    if len(body) > _SHORT and body.find(b'"type"') >= 0:  # tools, and parts that are not text
        return None
    try:
        plain = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    colons = body.count(b":")
    keys = len(_ENVELOPE) - structs.astuple(plain).count(None) + 2 * len(plain.messages)
    if colons != keys and (body.find(b"\\u003") >= 0 or _encode(plain).count(b":") != colons):
        return None
    return _call_of(plain, body)


def parse(fields: dict[str, Any], body: bytes) -> Call:
    """The Call that a decoded body asks for. Raises InvalidField."""
    return _call_of(_opened(fields), body, fields)


def _call_of(envelope: _Envelope, body: bytes, fields: dict[str, Any] | UnsetType = UNSET) -> Call:
    options = envelope.stream_options
    most, old = envelope.max_completion_tokens, envelope.max_tokens
    return Call(
        model=envelope.model or "",
        understand=understand,
        dialect=NAME,
        stream=envelope.stream or False,
        body=body,
        asked=envelope.model,
        _fields=fields,
        max_tokens=most if old is None or (most is not None and most > old) else old,
        n=envelope.n or 1,
        usage_wanted=bool(options and options.get("include_usage")),
    )


def _opened(fields: dict[str, Any]) -> _Envelope:
    """The envelope of a body that is sound; msgspec finds the usual ones so, and we say of the others what is wrong."""
    if fields.keys().isdisjoint(_INSIDE):
        try:
            return msgspec.convert(fields, _Envelope)
        except msgspec.ValidationError:
            pass
    check_messages(fields.get("messages"))
    for name, value in fields.items():
        check = _CHECKS.get(name)
        if check is not None:
            check(name, value)
    return _Envelope(**{name: fields[name] for name in _ENVELOPE & fields.keys()})


def check_messages(messages: Any) -> None:
    """Refuse what is not a list of messages with a known role and a content of a known shape."""
    if type(messages) is not list or not messages:
        raise InvalidField("messages is required and must be an array of at least one message", field="messages")
    for index, message in enumerate(messages):
        plain = type(message) is dict and len(message) == 2
        if plain and message.get("role") in _PLAIN and type(message.get("content")) is str:
            continue
        where = f"messages[{index}]"
        if type(message) is not dict:
            raise InvalidField(f"{where} must be an object", field=where)
        role, content = message.get("role"), message.get("content")
        if type(role) is not str or role not in _ROLES:
            raise InvalidField(f"{where}.role must be one of {', '.join(_ROLES)}", field=f"{where}.role")
        if type(content) is list:
            _check_parts(content, index)
        elif type(content) is not str and (content is not None or role != "assistant"):
            raise InvalidField(f"{where}.content must be a string or an array of parts", field=f"{where}.content")
        check_text(f"{where}.name", message.get("name"))
        check_text(f"{where}.tool_call_id", message.get("tool_call_id"))
        check_objects(f"{where}.tool_calls", message.get("tool_calls"))
        for at, call in enumerate(message.get("tool_calls") or ()):
            _check_call(f"{where}.tool_calls[{at}]", call)
        if message.get("function_call") is not None:
            _check_named(f"{where}.function_call", message["function_call"])


def _check_parts(parts: list[Any], index: int) -> None:
    for at, part in enumerate(parts):
        if type(part) is not dict or type(part.get("type")) is not str:
            where = f"messages[{index}].content[{at}]"
            raise InvalidField(f"{where} must be an object with a type", field=where)
        if part["type"] == "text" and type(part.get("text")) is not str:
            where = f"messages[{index}].content[{at}].text"
            raise InvalidField(f"{where} must be a string", field=where)


def _check_call(where: str, call: dict[str, Any]) -> None:
    check_text(f"{where}.id", call.get("id"))
    for kind in ("function", "custom"):
        if call.get(kind) is not None or call.get("type", "function") == kind:
            _check_named(f"{where}.{kind}", call.get(kind))


def _check_named(where: str, called: Any) -> None:
    if type(called) is not dict or type(called.get("name")) is not str:
        raise InvalidField(f"{where} must be an object with a name", field=where)


def understand(fields: dict[str, Any]) -> Prompt:
    """The whole meaning of a checked body. Raises InvalidField for a part that has no meaning here."""
    options = fields.get("response_format")
    effort = fields.get("reasoning_effort")
    stop = fields.get("stop")
    tools = [*(fields.get("tools") or ()), *({"function": f} for f in fields.get("functions") or ())]
    return Prompt(
        messages=tuple(_message(index, message) for index, message in enumerate(fields["messages"])),
        tools=tuple(_tool(index, tool) for index, tool in enumerate(tools)),
        tool_choice=_tool_choice(fields.get("tool_choice") or fields.get("function_call")),
        parallel_tools=fields.get("parallel_tool_calls"),
        format=None if options is None else _format(options),
        max_tokens=fields.get("max_completion_tokens") or fields.get("max_tokens"),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        seed=fields.get("seed"),
        n=fields.get("n"),
        logprobs=fields.get("logprobs"),
        top_logprobs=fields.get("top_logprobs"),
        presence_penalty=fields.get("presence_penalty"),
        frequency_penalty=fields.get("frequency_penalty"),
        reasoning=None if effort is None else Reasoning(effort=effort),
        user=fields.get("user") or "",
        extra={name: value for name, value in fields.items() if name not in _MODELLED},
    )


def _message(index: int, message: dict[str, Any]) -> Message:
    role = _ROLES[message["role"]]
    content = message.get("content")
    parts: list[Part] = []
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thoughts, str) and thoughts:
        parts.append(ThinkingPart(thoughts))
    if isinstance(content, str):
        parts.append(TextPart(content))
    elif content is not None:
        parts.extend(_part(f"messages[{index}].content[{at}]", part) for at, part in enumerate(content))
    if role == "tool":
        told = tuple(part for part in parts if isinstance(part, TextPart | MediaPart))
        id_ = message.get("tool_call_id") or message.get("name") or ""
        return Message(role, (ResultPart(id_, told, message.get("name") or ""),))
    if isinstance(message.get("refusal"), str):
        parts.append(RefusalPart(message["refusal"]))
    parts.extend(_call(call) for call in message.get("tool_calls") or ())
    if isinstance(message.get("function_call"), dict):
        old = message["function_call"]
        parts.append(CallPart(old.get("name") or "", old.get("name") or "", old.get("arguments") or "{}"))
    return Message(role, tuple(parts), message.get("name") or "")


def _part(where: str, part: dict[str, Any]) -> Part:
    kind = part["type"]
    body = part.get(kind)
    if kind == "text":
        rest = {name: value for name, value in part.items() if name not in {"type", "text"}}
        return TextPart(part["text"], rest)
    if kind == "refusal":
        return RefusalPart(str(body))
    if kind == "image_url":
        image = {"url": body} if isinstance(body, str) else body
        if isinstance(image, dict) and isinstance(image.get("url"), str):
            rest = {name: value for name, value in image.items() if name != "url"}
            return media("image", image["url"], rest)
    elif kind == "input_audio" and isinstance(body, dict) and isinstance(body.get("data"), str):
        return MediaPart("audio", mime=f"audio/{body.get('format') or 'wav'}", data=body["data"])
    elif kind == "input_audio" and isinstance(body, str):  # as Mistral's own clients say it: a URL, or data
        is_url = body.startswith(("https:", "http:", "data:"))
        return media("audio", body) if is_url else MediaPart("audio", mime="audio/wav", data=body)
    elif kind == "file" and isinstance(body, dict):
        name = body.get("filename") or ""
        if isinstance(body.get("file_data"), str):
            return msgspec.structs.replace(media("file", body["file_data"]), name=name)
        return MediaPart("file", file_id=body.get("file_id") or "", name=name)
    raise InvalidField(f"{where}: a part of type {kind!r} cannot be read here", field=where)


def media(kind: Any, url: str, extra: dict[str, Any] | None = None) -> MediaPart:
    """A MediaPart from a URL; a `data:` URL (RFC 2397, base64) is taken apart."""
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime = head.removeprefix("data:").removesuffix(";base64").partition(";")[0]
        return MediaPart(kind, mime=mime, data=data, extra=extra or {})
    return MediaPart(kind, url=url, extra=extra or {})


def _call(call: dict[str, Any]) -> CallPart:
    function = call.get("function") or call.get("custom") or {}
    arguments = function.get("arguments", function.get("input"))
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments or {}).decode()
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return CallPart(call.get("id") or "", function.get("name") or "", arguments or "{}", signature or "")


def _tool(index: int, tool: dict[str, Any]) -> Tool:
    if tool.get("type", "function") != "function":
        return Tool(name="", extra=tool)
    function, where = tool.get("function"), f"tools[{index}].function"
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise InvalidField(f"{where} must be an object with a name", field=where)
    check_object(f"{where}.parameters", function.get("parameters"))
    return Tool(
        function["name"],
        function.get("description") or "",
        function.get("parameters"),
        function.get("strict"),
        {name: value for name, value in tool.items() if name not in {"type", "function"}},
    )


def _tool_choice(choice: Any) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, dict):
        named = choice.get("function") or choice
        if isinstance(named, dict) and isinstance(named.get("name"), str):
            return ToolChoice("named", named["name"])
        raise InvalidField("tool_choice must name a function", field="tool_choice")
    if choice in {"auto", "none", "required"}:
        return ToolChoice(choice)
    if choice == "any":
        return ToolChoice("required")
    raise InvalidField(
        "tool_choice must be auto, none, required or an object that names a function", field="tool_choice"
    )


def _format(options: dict[str, Any]) -> Format | None:
    kind = options.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return Format("json", options.get("schema"))
    schema = options.get("json_schema")
    if kind == "json_schema" and isinstance(schema, dict):
        return Format(
            "schema",
            schema.get("schema"),
            schema.get("name") or "",
            schema.get("description") or "",
            schema.get("strict"),
        )
    raise InvalidField("response_format.type must be text, json_object or json_schema", field="response_format.type")
