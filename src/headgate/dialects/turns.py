"""What one entry of a caller's conversation is, whichever dialect it is in: whose turn, and which tool calls it names.

Chat completions and Anthropic's messages have a role; an item of the Responses API that is no message has a type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from headgate.core.call import Call
from headgate.dialects import anthropic_messages, openai_chat, openai_responses

LISTS = {
    openai_chat.NAME: "messages",
    anthropic_messages.NAME: "messages",
    openai_responses.NAME: "input",
    "": "input",  # what `file_search` makes of the same
}
"""The fields that hold a conversation, by dialect."""


class Turn(Struct, frozen=True):
    """One entry: the ids of the tool calls it makes, and of those it answers. One of a `user` has words."""

    by: Literal["system", "user", "model", "result"]
    calls: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    @property
    def begins(self) -> bool:
        """Whether a conversation may begin with it, at every vendor."""
        return self.by == "user" and not self.results


def conversation_of(call: Call) -> str:
    """The field that holds the conversation, as a list; empty where there is none."""
    name = LISTS.get(call.dialect, "")
    return name if isinstance(call.fields.get(name), list) else ""


def turn_of(item: dict[str, Any]) -> Turn:
    """What an entry of a checked conversation is."""
    role = item.get("role")
    if role in ("system", "developer"):
        return Turn("system")
    calls, results = _texts(_calls(item)), _texts(_results(item))
    if role == "user" and (not results or any(block.get("type") != "tool_result" for block in _blocks(item))):
        return Turn("user", calls, results)
    return Turn("result" if results or role in ("tool", "function") else "model", calls, results)


def _calls(item: dict[str, Any]) -> Iterator[Any]:
    for call in item.get("tool_calls") or ():
        yield call.get("id")
    if isinstance(item.get("function_call"), dict):
        yield item["function_call"].get("name")
    for block in _blocks(item):
        if block.get("type") == "tool_use":
            yield block.get("id")
    if not _is_output(item):
        yield item.get("call_id")
    if item.get("type") == "mcp_approval_request":
        yield item.get("id")


def _results(item: dict[str, Any]) -> Iterator[Any]:
    if item.get("role") in ("tool", "function"):
        yield item.get("tool_call_id") or item.get("name")
    for block in _blocks(item):
        if block.get("type") == "tool_result":
            yield block.get("tool_use_id")
    if _is_output(item):
        yield item.get("call_id")
    if item.get("type") == "mcp_approval_response":
        yield item.get("approval_request_id")


def _is_output(item: dict[str, Any]) -> bool:
    return str(item.get("type")).endswith("_output")


def _blocks(item: dict[str, Any]) -> list[dict[str, Any]]:
    content = item.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _texts(ids: Iterator[Any]) -> tuple[str, ...]:
    return tuple(id_ for id_ in ids if isinstance(id_, str))
