"""OpenAI's Responses API, the asking side: a body for an upstream, from a Prompt or from a caller of the same dialect.

https://platform.openai.com/docs/api-reference/responses/create. Upstreams are never asked by `previous_response_id`:
whose response that is, only Headgate knows, so the history is in the input by now.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from headgate.core.call import (
    Call,
    CallPart,
    MediaPart,
    Message,
    Part,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    System,
    TextPart,
    ThinkingPart,
    Tool,
    ToolChoice,
)
from headgate.core.faults import Forbidden, Unsupported
from headgate.dialects.openai_chat_forward import renamed
from headgate.dialects.openai_chat_writer import effort_of
from headgate.dialects.openai_responses import MARK, items_of, kind_of

_encode = msgspec.json.Encoder().encode
_OWN = f"_{MARK}"


def request(prompt: Prompt, model: str, *, stream: bool) -> dict[str, Any]:
    """A request body from a call that came in another dialect. Raises Unsupported for what the API has no word for."""
    _refuse(prompt)
    wish = prompt.reasoning or Reasoning()
    reasoning = {"effort": effort_of(wish), "summary": "auto" if wish.show else None}
    text = {"format": _format(prompt), "verbosity": prompt.extra.get("verbosity")}
    body: dict[str, Any] = {
        "model": model,
        "input": [item for message in prompt.turns for item in _items(message)],
        "instructions": prompt.system or None,
        "tools": [_tool(tool) for tool in prompt.tools] or None,
        "tool_choice": None if prompt.tool_choice is None else _choice(prompt.tool_choice),
        "parallel_tool_calls": prompt.parallel_tools,
        "text": _present(text) or None,
        "reasoning": _present(reasoning) or None,
        "max_output_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "include": ["message.output_text.logprobs"] if prompt.logprobs else None,
        "top_logprobs": prompt.top_logprobs,
        "user": prompt.user or None,
        "store": False,
        "stream": True if stream else None,
    }
    return _present(body)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _refuse(prompt: Prompt) -> None:
    if (prompt.n or 1) > 1:
        raise Unsupported("the Responses API makes one answer, not several", field="n")
    if prompt.stop:
        raise Unsupported("the Responses API has no stop sequences", field="stop")


def _format(prompt: Prompt) -> dict[str, Any] | None:
    wanted = prompt.format
    if wanted is None:
        return None
    if wanted.kind == "json":
        return {"type": "json_object"}
    return _present(
        {
            "type": "json_schema",
            "name": wanted.name or "answer",
            "schema": wanted.schema or {},
            "description": wanted.description or None,
            "strict": wanted.strict,
        }
    )


def _tool(tool: Tool) -> dict[str, Any]:
    if not tool.name:
        raise Unsupported(f"this model has no tool of type {str(tool.extra.get('type'))[:50]!r}", field="tools")
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description or None,
        "parameters": tool.schema or {"type": "object", "properties": {}},
        "strict": bool(tool.strict),  # here the default would be true
    }


def _choice(choice: ToolChoice) -> str | dict[str, Any]:
    return {"type": "function", "name": choice.name} if choice.mode == "named" else choice.mode


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """The items of a turn: its words in one message, each thought, call and result on its own."""
    words: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case ThinkingPart(signature=str(signature)) if signature:
                summary = [{"type": "summary_text", "text": part.text}] if part.text else []
                yield {"type": "reasoning", "summary": summary, "encrypted_content": signature}
            case ThinkingPart():
                pass  # without its proof nobody takes it back
            case CallPart():
                yield from _said(message, words)
                call = {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
                yield call
            case ResultPart():
                plain = all(isinstance(piece, TextPart) for piece in part.parts)
                output = part.text if plain else [_part(piece, "input_text") for piece in part.parts]
                yield {"type": "function_call_output", "call_id": part.id, "output": output}
            case _:
                words.append(_part(part, "output_text" if message.role == "assistant" else "input_text"))
    yield from _said(message, words)


def _said(message: Message, words: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if words:
        yield {"type": "message", "role": message.role, "content": words.copy()}
        words.clear()


def _part(part: Part, text: str) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": text, "text": part.text}
        case RefusalPart():
            return {"type": "refusal", "refusal": part.text}
        case MediaPart(kind="image"):
            source = {"file_id": part.file_id} if part.file_id else {"image_url": part.url or _data_url(part)}
            return {"type": "input_image", "detail": "auto", **source, **part.extra}
        case MediaPart(kind="file"):
            named = {"filename": part.name or "file", "file_data": _data_url(part)}
            source = {"file_id": part.file_id} if part.file_id else {"file_url": part.url} if part.url else named
            return {"type": "input_file", **source}
    raise Unsupported("the Responses API takes no audio", field="messages")


def _data_url(part: MediaPart) -> str:
    return f"data:{part.mime};base64,{part.data}"


def forward(call: Call) -> bytes:
    """A caller's own body for an upstream of the same dialect; what is not known here travels on unchanged."""
    if call.system is None and "previous_response_id" not in call.fields and _OWN.encode() not in call.body:
        body = renamed(call)
        if body:
            return body
    fields = {**call.fields, "model": call.model}
    fields.pop("previous_response_id", None)
    if call.system is not None:
        fields["instructions"] = with_system(fields, call.system)
    if isinstance(fields.get("input"), list):
        fields["input"] = [item for item in map(_foreign, fields["input"]) if item is not None]
    return _encode(fields)


def with_system(fields: dict[str, Any], system: System) -> str | None:
    """The operator's instructions before the caller's; under `replace` the caller's own win. Raises Forbidden."""
    own: str | None = fields.get("instructions")
    roles = {item.get("role") for _, item in items_of(fields) if kind_of(item) == "message"}
    told = bool(own) or bool(roles & {"system", "developer"})
    if told and system.policy == "forbid":
        raise Forbidden("your tier may not send a system prompt", field="instructions")
    if not system.text or (told and system.policy == "replace"):
        return own
    return f"{system.text}\n\n{own}" if own else system.text


def _foreign(item: Any) -> Any:
    """An item as the upstream may see it: neither Headgate's own ids mean anything there, nor thoughts under them."""
    if not isinstance(item, dict) or _OWN not in str(item.get("id") or ""):
        return item
    if item.get("type") in {"reasoning", "file_search_call"}:
        return None
    return {name: value for name, value in item.items() if name not in {"id", "extra_content"}}
