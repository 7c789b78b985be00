"""An app of your own on top of Headgate: one more route, admitted, limited and metered like every other call.

uvicorn --app-dir examples summarise:app
curl localhost:8000/summarise -d '{"text": "A long text"}' -H 'content-type: application/json'
"""

from pydantic import BaseModel

from headgate import Gate, create_app

app = create_app()  # an ordinary FastAPI app, with all of Headgate's own paths


class Article(BaseModel):
    """What is sent."""

    text: str


class Summary(BaseModel):
    """What comes back."""

    summary: str
    cost_usd: float | None


@app.post("/summarise")
async def summarise(article: Article, gate: Gate) -> Summary:
    reply = await gate.chat(article.text, system="Summarise in one sentence.", max_tokens=200)
    return Summary(summary=reply.text, cost_usd=reply.entry.cost_usd if reply.entry else None)
