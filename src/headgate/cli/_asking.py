"""What commands ask over HTTP: the running service, or, where there is none, the same app in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from headgate.cli._service import address_of

if TYPE_CHECKING:
    import httpx2

    from headgate.config import Config

PATIENCE = 300.0
"""Seconds for which a request that is limited, or that finds the service busy, is tried again."""


class Service:
    """A service to ask, as one caller."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def ask(self, method: str, path: str, **what: Any) -> Any:
        """The JSON of the answer. Raises ClickException in the service's words; waits where it says when to come."""
        import httpx2

        end = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                response = await self._client.request(method, path, **what)
            except httpx2.HTTPError as error:
                raise click.ClickException(f"the service broke off: {error or type(error).__name__}") from None
            wait = response.headers.get("retry-after", "")
            if response.status_code not in {429, 503} or not wait.isdigit():
                break
            if asyncio.get_running_loop().time() + int(wait) > end:
                break
            await asyncio.sleep(int(wait))
        try:
            answer = response.json()
        except ValueError:
            answer = {}
        if not response.is_success:
            told = answer.get("error") if isinstance(answer, dict) else None
            raise click.ClickException(str(told or f"the service answered {response.status_code}"))
        return answer

    async def events(self, path: str, body: dict[str, Any]) -> AsyncIterator[tuple[str, bytes]]:
        """The events of a stream, by their names. Raises ClickException in the service's words."""
        import httpx2

        from headgate.dialects.sse import Frames

        frames = Frames()
        try:
            async with self._client.stream("POST", path, json=body) as response:
                if not response.is_success:
                    raise click.ClickException(_said(await response.aread(), response.status_code))
                async for chunk in response.aiter_bytes():
                    for name, data in frames.feed(chunk):
                        if name == "error":
                            raise click.ClickException(_said(data, 200))
                        yield name, data
        except httpx2.HTTPError as error:
            raise click.ClickException(f"the service broke off: {error or type(error).__name__}") from None


def _said(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, LookupError, TypeError):
        return f"the service answered {status}"


@asynccontextmanager
async def service(config: Config, url: str | None, key: str) -> AsyncIterator[Service]:
    """The service that was named, or answers at the configured address; else the app itself.

    Raises ClickException where the one that was named is not there.
    """
    import httpx2

    address = address_of(config, url)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx2.Timeout(5, read=600)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=address, headers=headers, timeout=timeout))
        try:
            here = (await client.get("/health")).is_success
        except httpx2.HTTPError:
            here = False
        if not here and url:
            raise click.ClickException(f"no service answers at {url}")
        if not here:
            from headgate.boot.app import create_app

            quiet = config.telemetry.model_copy(update={"log_level": "error"})  # the terminal is for the answer
            app = create_app(config.model_copy(update={"telemetry": quiet}))
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx2.ASGITransport(app)
            inside = httpx2.AsyncClient(base_url=address, headers=headers, timeout=timeout, transport=transport)
            client = await stack.enter_async_context(inside)
        yield Service(client)
