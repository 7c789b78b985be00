"""What both of OpenAI's APIs say alike."""

from __future__ import annotations

import json
from typing import Any

from contracts._features import Called, Said


def logprobs(said: Said) -> dict[str, Any] | None:
    """The log probabilities of a choice."""

    def told(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    steps = [told(t, p) | {"top_logprobs": [told(*other) for other in others]} for t, p, others in said.logprobs]
    return {"content": steps, "refusal": None} if steps else None


def call(called: Called) -> dict[str, Any]:
    """A tool call."""
    function = {"name": called.name, "arguments": json.dumps(called.arguments)}
    return {"id": called.id, "type": "function", "function": function}
