"""Anthropic's Messages API, the caller's side: a body becomes a Call, and its meaning a Prompt.

https://platform.claude.com/docs/en/api/messages. Fields and content blocks that are not known here are never refused:
they stay in the body, and in the Prompt's `extra`. Known ones are checked at the door, and named as Anthropic names
them: `messages.0.content.1.text`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from headgate.core.call import (
    Call,
    CallPart,
    Format,
    MediaPart,
    Message,
    Part,
    Prompt,
    Reasoning,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
    ToolChoice,
)
from headgate.core.faults import InvalidField
from headgate.dialects.strict import check_count, check_flag, check_number, check_object, check_objects, check_text

NAME = "anthropic-messages"

FORWARDED = ("anthropic-version", "anthropic-beta")
"""The caller's headers that change what the API says; they go with a request that is passed on."""

WHOLE = "anthropic"
"""Under this name a part's `extra` keeps a content block that only Anthropic knows, whole."""

_ROLES = ("user", "assistant", "system")
_MOST_TOKENS = 10_000_000
_NAMES: dict[type, str] = {str: "a string", dict: "an object", list: "an array"}

_BLOCKS: dict[str, dict[str, type]] = {
    "text": {"text": str},
    "image": {"source": dict},
    "document": {"source": dict},
    "search_result": {"content": list},
    "thinking": {"thinking": str, "signature": str},
    "redacted_thinking": {"data": str},
    "tool_use": {"id": str, "name": str, "input": dict},
    "tool_result": {"tool_use_id": str},
}
_SOURCES: dict[str, dict[str, type]] = {
    "base64": {"media_type": str, "data": str},
    "url": {"url": str},
    "file": {"file_id": str},
    "text": {"data": str},
}
_CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}


def _check_stops(name: str, value: Any) -> None:
    if value is not None and (type(value) is not list or any(type(text) is not str for text in value)):
        raise InvalidField(f"{name} must be an array of strings", field=name)


def _check_system(name: str, value: Any) -> None:
    if value is None or type(value) is str:
        return
    _check_blocks(name, value)
    for at, block in enumerate(value):
        if block["type"] != "text":
            raise InvalidField(f"{name}.{at}.type must be text", field=f"{name}.{at}.type")


def _check_choice(name: str, value: Any) -> None:
    check_object(name, value)
    if value is None:
        return
    if value.get("type") not in tuple(_CHOICES):
        raise InvalidField(f"{name}.type must be one of {', '.join(_CHOICES)}", field=f"{name}.type")
    check_flag(f"{name}.disable_parallel_tool_use", value.get("disable_parallel_tool_use"))
    if value["type"] == "tool":
        _need(name, value, {"name": str})


def _check_tools(name: str, value: Any) -> None:
    check_objects(name, value)
    for at, tool in enumerate(value or ()):
        if tool.get("type") in (None, "custom"):
            _need(f"{name}.{at}", tool, {"name": str, "input_schema": dict})
            check_text(f"{name}.{at}.description", tool.get("description"))
            check_flag(f"{name}.{at}.strict", tool.get("strict"))


def _check_thinking(name: str, value: Any) -> None:
    check_object(name, value)
    if value is not None:
        _need(name, value, {"type": str})
        check_count(f"{name}.budget_tokens", value.get("budget_tokens"), 1, _MOST_TOKENS)


def _check_output(name: str, value: Any) -> None:
    check_object(name, value)
    if value is not None:
        check_text(f"{name}.effort", value.get("effort"))
        _check_format(f"{name}.format", value.get("format"))


def _check_format(name: str, value: Any) -> None:
    check_object(name, value)
    if value is not None:
        _need(name, value, {"type": str, "schema": dict})


def _check_metadata(name: str, value: Any) -> None:
    check_object(name, value)
    if value is not None:
        check_text(f"{name}.user_id", value.get("user_id"))


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "stream": check_flag,
    "max_tokens": lambda name, value: check_count(name, value, 0, _MOST_TOKENS),
    "temperature": lambda name, value: check_number(name, value, 0, 1),
    "top_p": lambda name, value: check_number(name, value, 0, 1),
    "top_k": lambda name, value: check_count(name, value, 0, _MOST_TOKENS),
    "stop_sequences": _check_stops,
    "system": _check_system,
    "tools": _check_tools,
    "tool_choice": _check_choice,
    "thinking": _check_thinking,
    "output_config": _check_output,
    "output_format": _check_format,
    "metadata": _check_metadata,
}
_MODELLED = frozenset(_CHECKS) | {"model", "messages"}


def parse(fields: dict[str, Any], body: bytes) -> Call:
    """The Call that a decoded body of `/v1/messages` asks for. Raises InvalidField."""
    call = parse_count(fields, body)
    if type(fields.get("max_tokens")) is not int:
        raise InvalidField("max_tokens is required and must be a whole number", field="max_tokens")
    return call


def parse_count(fields: dict[str, Any], body: bytes) -> Call:
    """The Call behind a body of `/v1/messages/count_tokens`: the same, without a bound on the answer."""
    model = fields.get("model")
    if model is not None and type(model) is not str:
        raise InvalidField("model must be a string", field="model")
    _check_messages(fields.get("messages"))
    for name, value in fields.items():
        check = _CHECKS.get(name)
        if check is not None:
            check(name, value)
    return Call(
        model=model or "",
        understand=understand,
        dialect=NAME,
        stream=fields.get("stream") or False,
        _fields=fields,
        body=body,
        max_tokens=fields.get("max_tokens"),
        usage_wanted=True,
    )


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the caller's headers (names in lower case) that go with a request that is passed on."""
    return {name: headers[name] for name in FORWARDED if name in headers}


def _check_messages(messages: Any) -> None:
    if type(messages) is not list or not messages:
        raise InvalidField("messages is required and must be an array of at least one message", field="messages")
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        if type(message) is not dict:
            raise InvalidField(f"{where} must be an object", field=where)
        if message.get("role") not in _ROLES:
            raise InvalidField(f"{where}.role must be one of {', '.join(_ROLES)}", field=f"{where}.role")
        content = message.get("content")
        if type(content) is not str:
            _check_blocks(f"{where}.content", content)


def _check_blocks(where: str, blocks: Any) -> None:
    if type(blocks) is not list:
        raise InvalidField(f"{where} must be a string or an array of content blocks", field=where)
    for at, block in enumerate(blocks):
        if type(block) is not dict or type(block.get("type")) is not str:
            raise InvalidField(f"{where}.{at} must be an object with a type", field=f"{where}.{at}")
        kind = block["type"]
        _need(f"{where}.{at}", block, _BLOCKS.get(kind, {}))
        if kind in {"image", "document"}:
            source = block["source"]
            _need(f"{where}.{at}.source", source, {"type": str})
            _need(f"{where}.{at}.source", source, _SOURCES.get(source["type"], {}))
        elif kind == "tool_result" and block.get("content") is not None and type(block["content"]) is not str:
            _check_blocks(f"{where}.{at}.content", block["content"])


def _need(where: str, fields: dict[str, Any], kinds: dict[str, type]) -> None:
    for name, kind in kinds.items():
        if type(fields.get(name)) is not kind:
            raise InvalidField(f"{where}.{name} is required and must be {_NAMES[kind]}", field=f"{where}.{name}")


def understand(fields: dict[str, Any]) -> Prompt:
    """The whole meaning of a checked body."""
    choice = fields.get("tool_choice")
    parallel = (choice or {}).get("disable_parallel_tool_use")
    return Prompt(
        messages=(*_system(fields.get("system")), *(m for said in fields["messages"] for m in _turns(said))),
        tools=tuple(_tool(tool) for tool in fields.get("tools") or ()),
        tool_choice=None if choice is None else _tool_choice(choice),
        parallel_tools=None if parallel is None else not parallel,
        format=_format(fields),
        max_tokens=fields.get("max_tokens"),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        top_k=fields.get("top_k"),
        stop=tuple(fields.get("stop_sequences") or ()),
        reasoning=_reasoning(fields),
        user=(fields.get("metadata") or {}).get("user_id") or "",
        extra=_unmodelled(fields),
    )


def _system(system: Any) -> Iterator[Message]:
    if isinstance(system, str) and system:
        yield Message("system", (TextPart(system),))
    elif system:
        yield from (Message("system", (_part(block),)) for block in system)


def _turns(message: dict[str, Any]) -> Iterator[Message]:
    """One message; tool results in it become turns of their own."""
    role, content, extra = message["role"], message["content"], _rest(message, "role", "content")
    if isinstance(content, str):
        yield Message(role, (TextPart(content),), extra=extra)
        return
    said: list[Part] = []
    for block in content:
        if block["type"] != "tool_result":
            said.append(_part(block))
            continue
        if said:
            yield Message(role, tuple(said), extra=extra)
            said = []
        yield Message("tool", (_result(block),))
    if said:
        yield Message(role, tuple(said), extra=extra)


def _result(block: dict[str, Any]) -> ResultPart:
    content = block.get("content") or ()
    blocks = ({"type": "text", "text": content},) if isinstance(content, str) else content
    parts = tuple(part for part in map(_part, blocks) if isinstance(part, TextPart | MediaPart))
    return ResultPart(block["tool_use_id"], parts, failed=block.get("is_error") or False)


def _part(block: dict[str, Any]) -> Part:
    match block["type"]:
        case "text":
            return TextPart(block["text"], _rest(block, "type", "text"))
        case "image" | "document":
            return _media(block)
        case "thinking":
            return ThinkingPart(block["thinking"], block["signature"])
        case "redacted_thinking":
            return ThinkingPart(redacted=block["data"])
        case "tool_use":
            return CallPart(block["id"], block["name"], msgspec.json.encode(block["input"]).decode())
        case "search_result":
            return TextPart(_text(block["content"]), {WHOLE: block})
        case _:
            return TextPart("", {WHOLE: block})


def _media(block: dict[str, Any]) -> MediaPart:
    source = block["source"]
    extra = _rest(block, "type", "source")
    kind: Literal["image", "file"] = "image" if block["type"] == "image" else "file"
    name = "" if kind == "image" else extra.pop("title", None) or ""
    match source["type"]:
        case "base64":
            return MediaPart(kind, mime=source["media_type"], data=source["data"], name=name, extra=extra)
        case "url":
            return MediaPart(kind, url=source["url"], name=name, extra=extra)
        case "file":
            return MediaPart(kind, file_id=source["file_id"], name=name, extra=extra)
        case "text":
            return MediaPart(kind, mime="text/plain", data=_base64(source["data"]), name=name, extra=extra)
        case _:
            data = _base64(_text(source.get("content")))
            return MediaPart(kind, mime="text/plain", data=data, name=name, extra={WHOLE: block})


def _text(content: Any) -> str:
    """The words of a content that is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else ()
    texts = (block.get("text") for block in blocks if isinstance(block, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _tool(tool: dict[str, Any]) -> Tool:
    """A tool of the caller's own; one that Anthropic runs has no name here and is kept whole."""
    if tool.get("type") not in (None, "custom"):
        return Tool("", extra=tool)
    rest = _rest(tool, "type", "name", "description", "input_schema", "strict")
    return Tool(tool["name"], tool.get("description") or "", tool["input_schema"], tool.get("strict"), rest)


def _tool_choice(choice: dict[str, Any]) -> ToolChoice:
    mode: Any = _CHOICES[choice["type"]]
    return ToolChoice(mode, choice["name"]) if mode == "named" else ToolChoice(mode)


def _format(fields: dict[str, Any]) -> Format | None:
    wanted = (fields.get("output_config") or {}).get("format") or fields.get("output_format")
    return None if wanted is None else Format("schema", wanted["schema"])


def _reasoning(fields: dict[str, Any]) -> Reasoning | None:
    thinking = fields.get("thinking") or {}
    effort = (fields.get("output_config") or {}).get("effort") or ""
    if thinking.get("type") == "disabled":
        effort = "none"
    display = thinking.get("display")
    if not thinking and not effort:
        return None
    return Reasoning(effort, thinking.get("budget_tokens"), None if display is None else display == "summarized")


def _unmodelled(fields: dict[str, Any]) -> dict[str, Any]:
    """What the Prompt has no place for, and the settings of which it holds only a part."""
    extra = {name: value for name, value in fields.items() if name not in _MODELLED and value is not None}
    thinking = fields.get("thinking")
    if thinking and set(thinking) != {"type", "budget_tokens"} and thinking != {"type": "disabled"}:
        extra["thinking"] = thinking
    for name, known in (("output_config", "format"), ("metadata", "user_id")):
        if _rest(fields.get(name) or {}, known):
            extra[name] = fields[name]
    return extra


def _rest(fields: dict[str, Any], *known: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in known}
