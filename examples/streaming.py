"""A route that streams words to its caller, with what Headgate knows of the call at the end.

uvicorn --app-dir examples streaming:app
curl -N 'localhost:8000/story?about=a+lighthouse'
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi.responses import StreamingResponse

from headgate import Gate, create_app
from headgate.core.events import Receipt, Text

app = create_app()


@app.get("/story")
async def story(about: str, gate: Gate) -> StreamingResponse:
    async def words() -> AsyncIterator[str]:
        async with aclosing(gate.stream(f"Tell a short story about {about}.")) as events:
            async for event in events:
                if isinstance(event, Text):
                    yield event.text
                elif isinstance(event, Receipt):
                    yield f"\n({event.entry.tokens_out} tokens)\n"

    return StreamingResponse(words(), media_type="text/plain")
