"""Headgate below a path of an app that exists already.

uvicorn --app-dir examples mounted:app
curl localhost:8000/llm/chat -d '{"message": "Hello"}'
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from headgate import create_app

headgate = create_app()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with headgate.router.lifespan_context(headgate):  # a mounted app is not started by itself
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/llm", headgate)


@app.get("/")
async def home() -> dict[str, str]:
    return {"hello": "this is the app that was there before"}
