"""A question in the words of each surface, and what its answers look like when they end well or badly."""

from __future__ import annotations

import json
from typing import Any

from journeys._caller import Answer

SURFACES = ("simple", "openai", "anthropic")
PATHS = {"simple": "/chat", "openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def ask(surface: str, model: str, text: str = "Say hello", *, stream: bool = False, **more: Any) -> dict[str, Any]:
    """The body of a question on this surface."""
    body: dict[str, Any] = {"model": model, **({"stream": True} if stream else {}), **more}
    if surface == "simple":
        return {"message": text, **body}
    if surface == "anthropic":
        body = {"max_tokens": 100, **body}
    return {"messages": [{"role": "user", "content": text}], **body}


def check_error(surface: str, answer: Answer, status: int, code: str | None = None) -> None:
    """The answer is an error of this status in the words of the surface; `code` is the simple surface's."""
    assert answer.status == status, answer
    assert answer.complete
    assert answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    check_words(surface, answer.json, code)


def check_words(surface: str, body: Any, code: str | None = None) -> None:
    """An error body is in the words of the surface."""
    if surface == "simple":
        assert set(body) == {"error", "error_code", "details", "request_id"}
        assert isinstance(body["error"], str)
        assert code is None or body["error_code"] == code, body
    elif surface == "openai":
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
    else:
        assert set(body) == {"type", "error", "request_id"}
        assert body["type"] == "error"
        assert set(body["error"]) == {"type", "message"}


def check_good(surface: str, answer: Answer, text: str = "Hello there") -> None:
    """The answer is whole, ended as its surface says it must, and says the text."""
    assert answer.status == 200, answer
    assert answer.complete
    assert answer.words == text, answer
    assert ended(surface, answer)


def check_broken(surface: str, answer: Answer, code: str | None = None) -> None:
    """The stream is broken for everyone to see: an error at its end, nothing that looks like a good end."""
    assert answer.status == 200, answer
    assert not ended(surface, answer), answer
    assert 'finish_reason":"stop' not in answer.text.replace(" ", ""), answer
    name, told = answer.frames[-1]
    assert name == {"simple": "error", "openai": "", "anthropic": "error"}[surface], answer
    check_words(surface, json.loads(told), code)


def ended(surface: str, answer: Answer) -> bool:
    """Whether anything in the answer says that it ended well."""
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        return answer.complete
    names = [name for name, _ in answer.frames]
    marks = {"simple": "done" in names, "openai": False, "anthropic": "message_stop" in names}
    return marks[surface] or "data: [DONE]" in answer.text
