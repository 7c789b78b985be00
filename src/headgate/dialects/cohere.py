"""Cohere's chat v2, the asking side: a Prompt becomes Cohere's request. `cohere_answer` reads what comes back.

https://docs.cohere.com/reference/chat. What Cohere cannot do is Unsupported. Hints that change nothing a caller could
rely on are left out: the fields of other vendors that are not in `_CANNOT` (`user`, `metadata`, `store`, `verbosity`,
cache markers …), a tool's and a format's `strict` (`strict_tools` can be set), a speaker's `name`, signatures and
another vendor's redacted thoughts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from headgate.core.call import (
    CallPart,
    Format,
    MediaPart,
    Message,
    Part,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
)
from headgate.core.faults import InvalidField, Unsupported

_CANNOT = (
    "audio",
    "background",
    "container",
    "context_management",
    "conversation",
    "logit_bias",
    "mcp_servers",
    "prediction",
    "previous_response_id",
    "web_search_options",
)
_OWN = ("citation_options", "documents", "safety_mode", "strict_tools")
_MOST_STOPS = 5
# Cohere bounds thought in tokens; the words are OpenAI's. None: as much as the model likes.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": None, "xhigh": None, "max": None}


def request(prompt: Prompt, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of a request. Raises Unsupported, naming the feature, for what Cohere cannot do."""
    _refuse(prompt)
    said = {
        "model": model,
        "messages": [out for message in prompt.messages for out in _messages(message)],
        "stream": stream,
        "response_format": prompt.format and _format(prompt.format),
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "p": None if prompt.top_p is None else min(max(prompt.top_p, 0.01), 0.99),  # all that Cohere takes
        "k": prompt.top_k,
        "seed": prompt.seed,
        "stop_sequences": list(prompt.stop) or None,
        "frequency_penalty": prompt.frequency_penalty,
        "presence_penalty": prompt.presence_penalty,
        "logprobs": prompt.logprobs or None,
        "thinking": prompt.reasoning and _thinking(prompt.reasoning),
        **{name: prompt.extra.get(name) for name in _OWN},
        **_tools(prompt),
    }
    return {name: value for name, value in said.items() if value is not None}


def _refuse(prompt: Prompt) -> None:
    for name in _CANNOT:
        if prompt.extra.get(name):
            raise Unsupported(f"Cohere does not support {name}", field=name)
    if set(prompt.extra.get("modalities") or ()) - {"text"}:
        raise Unsupported("Cohere answers in text alone: other modalities are not supported", field="modalities")
    if (prompt.n or 1) > 1:
        raise Unsupported("Cohere gives one answer a request: n above 1 is not supported", field="n")
    if prompt.top_logprobs:
        raise Unsupported("Cohere tells the logprobs of the chosen tokens alone", field="top_logprobs")
    if len(prompt.stop) > _MOST_STOPS:
        raise Unsupported(f"Cohere takes at most {_MOST_STOPS} stop sequences", field="stop")
    for name, value in (("frequency", prompt.frequency_penalty), ("presence", prompt.presence_penalty)):
        if not 0 <= (value or 0) <= 1:
            raise Unsupported(f"Cohere takes a {name} penalty from 0 to 1", field=f"{name}_penalty")
    if prompt.tools and prompt.parallel_tools is False:
        raise Unsupported("Cohere cannot be held to one tool call at a time", field="parallel_tool_calls")
    if prompt.format is not None and (prompt.tools or prompt.extra.get("documents")):
        raise Unsupported("Cohere takes no format of the answer beside tools or documents", field="response_format")


def _tools(prompt: Prompt) -> dict[str, Any]:
    """The tools and the choice. Cohere names no tool to be called, but one that must be called can be the only one."""
    choice = prompt.tool_choice
    tools: Iterable[Tool] = prompt.tools
    if choice is not None and choice.mode == "named":
        tools = [tool for tool in tools if tool.name == choice.name]
        if not tools:
            raise InvalidField(f"tool_choice names a tool that is not there: {choice.name!r}", field="tool_choice")
    declared = [_tool(tool) for tool in tools]
    if not declared:
        return {}
    if choice is None or choice.mode == "auto":
        return {"tools": declared}
    return {"tools": declared, "tool_choice": "NONE" if choice.mode == "none" else "REQUIRED"}


def _tool(tool: Tool) -> dict[str, Any]:
    if not tool.name:
        raise Unsupported(f"Cohere does not support tools of type {tool.extra.get('type')!r}", field="tools")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.schema or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _format(wanted: Format) -> dict[str, Any]:
    schema = {"json_schema": wanted.schema} if wanted.schema is not None else {}
    return {"type": "json_object"} | schema


def _thinking(reasoning: Reasoning) -> dict[str, Any] | None:
    """https://docs.cohere.com/docs/reasoning."""
    effort, budget = reasoning.effort, reasoning.budget
    if effort == "none" or budget == 0:
        return {"type": "disabled"}
    if budget is None and not effort:
        return None
    if budget is None:
        if effort not in _BUDGETS:
            raise Unsupported(f"Cohere knows no reasoning effort {effort!r}", field="reasoning_effort")
        budget = _BUDGETS[effort]
    return {"type": "enabled"} | ({} if budget is None else {"token_budget": budget})


def _messages(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        for part in message.parts:
            if isinstance(part, ResultPart):
                yield {"role": "tool", "tool_call_id": part.id, "content": _result(part)}
        return
    calls = [_call(part) for part in message.parts if isinstance(part, CallPart)]
    thoughts = "".join(part.text for part in message.parts if isinstance(part, ThinkingPart)) if calls else ""
    said = [part for part in message.parts if not (calls and isinstance(part, ThinkingPart))]
    blocks = [block for block in map(_block, said) if block is not None]
    body: dict[str, Any] = {"role": message.role}
    if thoughts:
        body["tool_plan"] = thoughts  # as it came: the thought before tool calls
    if blocks or not calls:
        body["content"] = _content(blocks)
    if calls:
        body["tool_calls"] = calls
    yield body


def _call(part: CallPart) -> dict[str, Any]:
    function = {"name": part.name, "arguments": part.arguments}
    return {"id": part.id, "type": "function", "function": function}


def _result(part: ResultPart) -> str | list[dict[str, Any]]:
    """A failure has no flag of its own at Cohere; the model sees it as a document that says so."""
    if any(isinstance(shown, MediaPart) for shown in part.parts):
        raise Unsupported("Cohere takes tool results as text, not as images or files", field="messages")
    if part.failed:
        return [{"type": "document", "document": {"data": {"error": part.text}}}]
    return _content([{"type": "text", "text": shown.text} for shown in part.parts if isinstance(shown, TextPart)])


def _content(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if not blocks:
        return ""
    return str(blocks[0]["text"]) if len(blocks) == 1 and blocks[0]["type"] == "text" else blocks


def _block(part: Part) -> dict[str, Any] | None:
    """One block of content; nothing for what stands elsewhere or is left out."""
    match part:
        case TextPart() | RefusalPart():
            return {"type": "text", "text": part.text}
        case ThinkingPart() if part.text:
            return {"type": "thinking", "thinking": part.text}
        case MediaPart():
            if part.kind != "image" or not (part.url or part.data):
                raise Unsupported(f"Cohere does not take {part.kind} parts of this form", field="messages")
            detail = {"detail": part.extra["detail"]} if "detail" in part.extra else {}
            url = part.url or f"data:{part.mime};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url} | detail}
    return None
