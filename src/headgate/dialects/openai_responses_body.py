"""The `response` object of OpenAI's Responses API, which answers a call, opens its stream and ends it.

https://platform.openai.com/docs/api-reference/responses/object. It repeats the request's parameters, with OpenAI's
defaults for those that were left out.
"""

from __future__ import annotations

from typing import Any

from headgate.core.entry import Entry
from headgate.core.events import Done, Usage


def response_body(asked: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The object for a request's fields; `said` are those that the answer fills."""
    reasoning = asked.get("reasoning") or {}
    return {
        "object": "response",
        "completed_at": None,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": asked.get("max_tool_calls"),
        "output": [],
        "parallel_tool_calls": _or(asked.get("parallel_tool_calls"), otherwise=True),
        "previous_response_id": asked.get("previous_response_id"),
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": asked.get("service_tier") or "default",
        "store": _or(asked.get("store"), otherwise=True),
        "temperature": _or(asked.get("temperature"), otherwise=1.0),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **(asked.get("text") or {})},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "top_logprobs": asked.get("top_logprobs") or 0,
        "top_p": _or(asked.get("top_p"), otherwise=1.0),
        "truncation": asked.get("truncation") or "disabled",
        "usage": None,
        "user": asked.get("user"),
        "metadata": asked.get("metadata") or {},
        **said,
    }


def status_of(done: Done | None) -> str:
    """The status of a response that ended so."""
    if done is None or done.reason not in {"length", "filter", "error"}:
        return "completed"
    return "failed" if done.reason == "error" else "incomplete"


def why(done: Done | None) -> dict[str, Any]:
    """Why a response is not complete."""
    match status_of(done):
        case "failed":
            return {"error": {"code": "server_error", "message": "the model broke off its answer"}}
        case "incomplete":
            filtered = done is not None and done.reason == "filter"
            return {"incomplete_details": {"reason": "content_filter" if filtered else "max_output_tokens"}}
    return {}


def usage_body(usage: Usage | None, entry: Entry) -> dict[str, Any]:
    """The usage object: the vendor's own where it spoke this dialect, and what the call cost (`cost_usd`)."""
    body: dict[str, Any] = {
        "input_tokens": entry.tokens_in,
        "input_tokens_details": {"cached_tokens": entry.cached, "cache_write_tokens": entry.cache_write},
        "output_tokens": entry.tokens_out,
        "output_tokens_details": {"reasoning_tokens": entry.reasoning},
        "total_tokens": entry.tokens_in + entry.tokens_out,
    }
    # Anthropic's usage has fields of the same names, but other meanings.
    if usage is not None and usage.raw is not None and "input_tokens_details" in usage.raw:
        body = dict(usage.raw)
    return {**body, "cost_usd": entry.cost_usd}


def _or(value: Any, *, otherwise: Any) -> Any:
    return otherwise if value is None else value
