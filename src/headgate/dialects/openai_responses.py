"""OpenAI's Responses API, the caller's side: a body becomes a Call, and its meaning a Prompt.

https://platform.openai.com/docs/api-reference/responses/create. Fields that are not known here are never refused: they
stay in the body, and in `Prompt.extra`. What only OpenAI's own servers can do (their tools, stored prompts) has no
meaning elsewhere and is Unsupported when it has to be understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import structs

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
from headgate.core.faults import InvalidField, Unsupported
from headgate.dialects.openai_chat import media
from headgate.dialects.strict import (
    check_count,
    check_flag,
    check_number,
    check_object,
    check_objects,
    check_text,
)

NAME = "openai-responses"
MARK = "hg"
"""What the ids of Headgate's own responses and items begin with, after `resp_`, `msg_`, `fc_` and `rs_`."""

Check = Callable[[str, Any], None]

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TEXTS = frozenset({"input_text", "output_text", "text"})
_REDACTED = "redacted:"
_MOST_TOKENS = 10_000_000


def _check_choice(name: str, value: Any) -> None:
    if value is not None and type(value) not in {str, dict}:
        raise InvalidField(f"{name} must be a string or an object", field=name)


def _check_options(name: str, value: Any, checks: dict[str, Check]) -> None:
    check_object(name, value)
    for option, check in checks.items():
        check(f"{name}.{option}", (value or {}).get(option))


def _check_words(name: str, value: Any) -> None:
    if value is not None and (type(value) is not list or any(type(word) is not str for word in value)):
        raise InvalidField(f"{name} must be an array of strings", field=name)


def _refuse_background(name: str, value: Any) -> None:
    check_flag(name, value)
    if value:
        raise Unsupported("responses are not made in the background here: leave background out", field=name)


def _refuse_conversation(name: str, value: Any) -> None:
    if value is not None:
        raise Unsupported("conversations are not kept here: use previous_response_id", field=name)


_CHECKS: dict[str, Check] = {
    "model": check_text,
    "stream": check_flag,
    "stream_options": check_object,
    "instructions": check_text,
    "previous_response_id": check_text,
    "max_output_tokens": lambda name, value: check_count(name, value, 1, _MOST_TOKENS),
    "max_tool_calls": lambda name, value: check_count(name, value, 1, _MOST_TOKENS),
    "temperature": lambda name, value: check_number(name, value, 0, 2),
    "top_p": lambda name, value: check_number(name, value, 0, 1),
    "top_logprobs": lambda name, value: check_count(name, value, 0, 20),
    "parallel_tool_calls": check_flag,
    "tools": check_objects,
    "tool_choice": _check_choice,
    "text": lambda name, value: _check_options(name, value, {"format": check_object, "verbosity": check_text}),
    "reasoning": lambda name, value: _check_options(name, value, {"effort": check_text}),
    "prompt": check_object,
    "metadata": check_object,
    "include": _check_words,
    "store": check_flag,
    "truncation": check_text,
    "user": check_text,
    "safety_identifier": check_text,
    "prompt_cache_key": check_text,
    "service_tier": check_text,
    "background": _refuse_background,
    "conversation": _refuse_conversation,
}
# What a Prompt says in its own words, and what has done its work before a provider is asked.
_MODELLED = frozenset(
    {
        "background",
        "conversation",
        "input",
        "instructions",
        "max_output_tokens",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    }
)


def parse(fields: dict[str, Any], body: bytes) -> Call:
    """The Call that a decoded body asks for. Raises InvalidField, Unsupported."""
    check_input(fields)
    for name, value in fields.items():
        check = _CHECKS.get(name)
        if check is not None:
            check(name, value)
    return Call(
        model=fields.get("model") or "",
        understand=understand,
        dialect=NAME,
        stream=fields.get("stream") or False,
        _fields=fields,
        body=body,
        asked=fields.get("model"),
        max_tokens=fields.get("max_output_tokens"),
        usage_wanted=True,
    )


def check_input(fields: dict[str, Any]) -> None:
    """Refuse an input that is neither text nor a list of items of known shapes, and one that is not there at all."""
    said = fields.get("input")
    if type(said) is str:
        return
    if said is None or said == []:
        if not fields.get("previous_response_id") and fields.get("prompt") is None:
            raise InvalidField("input is required and must be a string or an array of items", field="input")
        return
    if type(said) is not list:
        raise InvalidField("input must be a string or an array of items", field="input")
    for index, item in enumerate(said):
        if type(item) is not dict:
            raise InvalidField(f"input[{index}] must be an object", field=f"input[{index}]")
        check = _ITEM_CHECKS.get(kind_of(item))
        if check is not None:
            check(f"input[{index}]", item)


def kind_of(item: dict[str, Any]) -> str:
    """The type of an input item; without one it is a message, or a reference if it has nothing but an id."""
    kind = item.get("type")
    if kind is None:
        return "item_reference" if "id" in item and "role" not in item else "message"
    return kind if type(kind) is str else ""


def _check_message(where: str, item: dict[str, Any]) -> None:
    if type(item.get("role")) is not str or item["role"] not in _ROLES:
        raise InvalidField(f"{where}.role must be one of {', '.join(_ROLES)}", field=f"{where}.role")
    _check_content(f"{where}.content", item.get("content"))


def _check_call(where: str, item: dict[str, Any]) -> None:
    for name in ("call_id", "name", "arguments"):
        _want_text(where, item, name)


def _check_result(where: str, item: dict[str, Any]) -> None:
    _want_text(where, item, "call_id")
    _check_content(f"{where}.output", item.get("output"))


def _check_reference(where: str, item: dict[str, Any]) -> None:
    _want_text(where, item, "id")


_ITEM_CHECKS: dict[str, Check] = {
    "message": _check_message,
    "function_call": _check_call,
    "function_call_output": _check_result,
    "item_reference": _check_reference,
}


def _want_text(where: str, item: dict[str, Any], name: str) -> None:
    if type(item.get(name)) is not str:
        raise InvalidField(f"{where}.{name} must be a string", field=f"{where}.{name}")


def _check_content(where: str, content: Any) -> None:
    if type(content) is str:
        return
    if type(content) is not list:
        raise InvalidField(f"{where} must be a string or an array of parts", field=where)
    for at, part in enumerate(content):
        if type(part) is not dict or type(part.get("type")) is not str:
            raise InvalidField(f"{where}[{at}] must be an object with a type", field=f"{where}[{at}]")
        if part["type"] in _TEXTS:
            _want_text(f"{where}[{at}]", part, "text")


def understand(fields: dict[str, Any]) -> Prompt:
    """The whole meaning of a checked body. Raises InvalidField, and Unsupported for what only OpenAI can do."""
    if fields.get("prompt") is not None:
        raise Unsupported("stored prompts live at OpenAI: this model cannot use prompt", field="prompt")
    text = fields.get("text") or {}
    wish = fields.get("reasoning") or {}
    choice, tools = _tool_choice(fields.get("tool_choice"), fields.get("tools") or [])
    extra = {name: value for name, value in fields.items() if name not in _MODELLED}
    if text.get("verbosity"):
        extra["verbosity"] = text["verbosity"]
    top = fields.get("top_logprobs")
    return Prompt(
        messages=tuple(_messages(fields)),
        tools=tuple(_tool(index, tool) for index, tool in enumerate(tools)),
        tool_choice=choice,
        parallel_tools=fields.get("parallel_tool_calls"),
        format=_format(text.get("format") or {}),
        max_tokens=fields.get("max_output_tokens"),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        logprobs=True if top or "message.output_text.logprobs" in (fields.get("include") or ()) else None,
        top_logprobs=top or None,
        reasoning=Reasoning(wish.get("effort") or "", show=True if wish.get("summary") else None) if wish else None,
        user=fields.get("user") or fields.get("safety_identifier") or "",
        extra=extra,
    )


def _messages(fields: dict[str, Any]) -> list[Message]:
    """The turns. Neighbouring items of the assistant (thoughts, words, calls) are one turn."""
    said: list[Message] = []
    if fields.get("instructions"):
        said.append(Message("system", (TextPart(fields["instructions"]),)))
    for where, item in items_of(fields):
        if kind_of(item) == "file_search_call":
            continue  # what it found is in what was said after it
        message = _message(where, item)
        if message.role == "assistant" and said and said[-1].role == "assistant":
            said[-1] = structs.replace(said[-1], parts=said[-1].parts + message.parts)
        else:
            said.append(message)
    return said


def items_of(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The items of a checked body's input, each with its place; a plain text is a message of the user."""
    said = fields.get("input")
    if isinstance(said, str):
        yield "input", {"type": "message", "role": "user", "content": said}
    for index, item in enumerate(said if isinstance(said, list) else ()):
        yield f"input[{index}]", item


def _message(where: str, item: dict[str, Any]) -> Message:
    match kind_of(item):
        case "message":
            role = _ROLES[item["role"]]
            return Message(role, _parts(f"{where}.content", item["content"]))
        case "function_call":
            match item.get("extra_content"):
                case {"google": {"thought_signature": str(signature)}}:
                    pass
                case _:
                    signature = ""
            return Message(
                "assistant", (CallPart(item["call_id"], item["name"], item["arguments"] or "{}", signature),)
            )
        case "function_call_output":
            parts = _parts(f"{where}.output", item["output"])
            told = tuple(part for part in parts if isinstance(part, TextPart | MediaPart))
            return Message("tool", (ResultPart(item["call_id"], told, item.get("name") or ""),))
        case "reasoning":
            return Message("assistant", (_thought(where, item),))
        case "item_reference":
            raise InvalidField(f"{where}: no item {item['id'][:100]!r} is kept here; send the item itself", field=where)
        case kind:
            raise Unsupported(f"{where}: this model cannot read an item of type {kind[:50]!r}", field=where)


def _thought(where: str, item: dict[str, Any]) -> ThinkingPart:
    """A reasoning item. Only what Headgate sealed itself goes back to a model of another vendor."""
    for name in ("summary", "content"):
        check_objects(f"{where}.{name}", item.get(name))
    check_text(f"{where}.encrypted_content", item.get("encrypted_content"))
    pieces = item.get("summary") or item.get("content") or ()
    text = "\n\n".join(str(piece.get("text") or "") for piece in pieces)
    own = str(item.get("id") or "").startswith(f"rs_{MARK}")
    signature, redacted = unsealed(item.get("encrypted_content") or "") if own else ("", "")
    return ThinkingPart(text, signature, redacted)


def sealed(signature: str, redacted: str) -> str | None:
    """A thought's proof or its opaque form, as a reasoning item's `encrypted_content`."""
    return f"{_REDACTED}{redacted}" if redacted else signature or None


def unsealed(content: str) -> tuple[str, str]:
    """The signature and the opaque form that `sealed` was given."""
    return ("", content.removeprefix(_REDACTED)) if content.startswith(_REDACTED) else (content, "")


def _parts(where: str, content: str | list[dict[str, Any]]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_part(f"{where}[{at}]", part) for at, part in enumerate(content))


def _part(where: str, part: dict[str, Any]) -> Part:
    match part:
        case {"type": kind, "text": str(text)} if kind in _TEXTS:
            return TextPart(text)
        case {"type": "refusal", "refusal": str(text)}:
            return RefusalPart(text)
        case {"type": "input_image", "image_url": str(url)}:
            return media("image", url, {"detail": part["detail"]} if part.get("detail") else None)
        case {"type": "input_image", "file_id": str(id_)}:
            return MediaPart("image", file_id=id_)
        case {"type": "input_audio", "input_audio": {"data": str(data), **rest}}:
            return MediaPart("audio", mime=f"audio/{rest.get('format') or 'wav'}", data=data)
        case {"type": "input_file", "file_data": str(data)}:
            return structs.replace(media("file", data), name=part.get("filename") or "")
        case {"type": "input_file", "file_url": str(url)}:
            return MediaPart("file", url=url, name=part.get("filename") or "")
        case {"type": "input_file", "file_id": str(id_)}:
            return MediaPart("file", file_id=id_)
    raise InvalidField(f"{where}: a part of type {part['type'][:50]!r} cannot be read here", field=where)


def _tool(index: int, tool: dict[str, Any]) -> Tool:
    if tool.get("type") != "function":
        return Tool(name="", extra=tool)
    if not isinstance(tool.get("name"), str):
        raise InvalidField(f"tools[{index}].name must be a string", field=f"tools[{index}].name")
    check_object(f"tools[{index}].parameters", tool.get("parameters"))
    return Tool(tool["name"], tool.get("description") or "", tool.get("parameters"), tool.get("strict"))


def _tool_choice(choice: Any, tools: list[dict[str, Any]]) -> tuple[ToolChoice | None, list[dict[str, Any]]]:
    """The choice, and the tools that it leaves."""
    match choice:
        case None:
            return None, tools
        case "auto" | "none" | "required":
            return ToolChoice(choice), tools
        case {"type": "function" | "custom", "name": str(name)}:
            return ToolChoice("named", name), tools
        case {"type": "allowed_tools", "tools": [*allowed], "mode": "auto" | "required" as mode}:
            names = [(tool.get("type"), tool.get("name")) for tool in allowed if isinstance(tool, dict)]
            return ToolChoice(mode), [tool for tool in tools if (tool.get("type"), tool.get("name")) in names]
        case {"type": str(kind)} if kind not in {"function", "custom", "allowed_tools"}:
            raise Unsupported(f"this model has no tool of type {kind[:50]!r}", field="tool_choice")
    raise InvalidField(
        "tool_choice must be auto, none, required or an object that names a function", field="tool_choice"
    )


def _format(wanted: dict[str, Any]) -> Format | None:
    match wanted.get("type", "text"):
        case "text":
            return None
        case "json_object":
            return Format("json")
        case "json_schema" if isinstance(wanted.get("schema"), dict):
            name, description = wanted.get("name") or "", wanted.get("description") or ""
            return Format("schema", wanted["schema"], name, description, wanted.get("strict"))
    raise InvalidField("text.format must be text, json_object, or json_schema with a schema", field="text.format")
