"""An app of your own on top of Headgate: two more routes, limited, metered and paid for like every other call.

uvicorn --app-dir examples summarise:app --no-proxy-headers
curl localhost:8000/summarise -H 'content-type: application/json' -d '{"text": "Call me Ishmael."}'

Everything that `headgate serve` answers is answered too: /v1/chat/completions, /v1/messages, /chat, /me, /docs, …
Models, callers and limits come from headgate.toml and the environment; without any, the built-in echo answers.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from headgate import Caller, Fault, Gate, create_app
from headgate.core.events import Text

SYSTEM = "Summarise what you are given in at most three sentences. Answer with the summary alone."

app = create_app()


class Passage(BaseModel):
    """What is to be summarised."""

    text: str = Field(min_length=1, max_length=20_000)


class Summary(BaseModel):
    """What came of it. `cost_usd` is null where the model's price is not known."""

    summary: str
    model: str
    cost_usd: float | None
    asked_by: str


@app.post("/summarise")
async def summarise(passage: Passage, gate: Gate, caller: Caller) -> Summary:
    """The summary in one piece. If the caller hangs up, the model is hung up on too."""
    reply = await gate.chat(passage.text, system=SYSTEM, max_tokens=300)
    entry = reply.entry
    assert entry is not None  # noqa: S101 - an answer that ended well is in the ledger
    return Summary(summary=reply.text, model=entry.target, cost_usd=entry.cost_usd, asked_by=caller.id)


@app.post("/summarise/stream")
async def summarise_as_it_comes(passage: Passage, gate: Gate) -> StreamingResponse:
    """The summary word by word. What goes wrong before the first word is an ordinary error response."""
    events = gate.stream(passage.text, system=SYSTEM, max_tokens=300)
    await anext(events)

    async def words() -> AsyncIterator[str]:
        async with aclosing(events):
            try:
                async for event in events:
                    if isinstance(event, Text):
                        yield event.text
            except Fault as fault:
                yield f"\n[the summary broke off: {fault.message}]\n"

    return StreamingResponse(words(), media_type="text/plain")
