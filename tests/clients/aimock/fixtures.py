"""The same models as everywhere in these tests, as aimock's fixtures (https://aimock.copilotkit.dev/fixtures)."""

from __future__ import annotations

from typing import Any

from clients._models import MODELS, TOKENS, Refuses, Says

_IN, _OUT = TOKENS
_USAGE = {
    "prompt_tokens": _IN,
    "completion_tokens": _OUT,
    "input_tokens": _IN,
    "output_tokens": _OUT,
    "promptTokenCount": _IN,
    "candidatesTokenCount": _OUT,
}
_ENDS = {"length": "length", "filter": "content_filter"}


def fixtures() -> dict[str, Any]:
    """What aimock is to answer; it takes the first that matches, so what follows a tool's result comes first."""
    found = []
    for name, turns in MODELS.items():
        if name == "vectors":
            continue  # aimock makes its own
        for at in reversed(range(len(turns))):
            match = {"model": name, "hasToolResult": True} if at else {"model": name}
            found.append({"match": match, **_response(turns[at])})
    return {"fixtures": found}


def _response(said: Says | Refuses) -> dict[str, Any]:
    if isinstance(said, Refuses):
        error = {"message": f"told to say {said.status}", "type": said.type}
        wait = {} if said.wait is None else {"retryAfter": said.wait}
        return {"response": {"error": error, "status": said.status, **wait}}
    response: dict[str, Any] = {"usage": _USAGE}
    if said.text or not said.calls:
        response["content"] = said.text
    if said.calls:
        response["toolCalls"] = [{"name": name, "arguments": arguments} for name, arguments in said.calls]
    if said.thought:
        response["reasoning"] = said.thought
    if said.end in _ENDS:
        response["finishReason"] = _ENDS[said.end]
    cut = {"truncateAfterChunks": 4, "chunkSize": 4, "latency": 30} if said.breaks else {}
    return {"response": response, **cut}
