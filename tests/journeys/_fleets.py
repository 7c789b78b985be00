"""The same service as one process, as two workers, and as three replicas."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from journeys._caller import Answer
from journeys._service import Service, command, serving

FLEETS = ("one process", "two workers", "three replicas")


class Fleet:
    """Services that callers may use as one; each request goes to the next of them."""

    def __init__(self, services: list[Service]) -> None:
        self.services = services
        self._turn = 0

    @property
    def next(self) -> Service:
        """The service whose turn it is."""
        self._turn += 1
        return self.services[self._turn % len(self.services)]

    async def post(self, path: str, body: bytes | dict[str, Any], **how: Any) -> Answer:
        """One POST to any of them."""
        return await self.next.post(path, body, **how)

    async def kill_a_worker(self) -> None:
        """SIGKILL for one of the first service's workers, once all of them listen."""
        await self.all_there()
        self._workers()[0].send_signal(signal.SIGKILL)

    async def all_there(self) -> None:
        """Wait until every worker of the first service listens, those too that replace others."""
        await eventually(self._all_listen, 30.0)

    def _workers(self) -> list[psutil.Process]:
        return psutil.Process(self.services[0].process.pid).children()

    async def _all_listen(self) -> bool:
        try:
            lines = [worker.net_connections("tcp") for worker in self._workers()]
        except psutil.NoSuchProcess:  # killed a moment ago
            return False
        return len(lines) > 1 and all(any(line.status == psutil.CONN_LISTEN for line in mine) for mine in lines)


@asynccontextmanager
async def fleet(kind: str, folder: Path, config: str, shared: str, postgres: str) -> AsyncIterator[Fleet]:
    """A fleet of this kind; `shared` and `postgres` are where its Valkey and its database are."""
    if kind != "one process":
        config += f'[shared]\nurl = "{shared}"\n'
    if kind == "two workers":
        config += "[server]\nworkers = 2\n"
    async with AsyncExitStack() as stack:
        if kind != "three replicas":
            yield Fleet([await stack.enter_async_context(serving(folder, config))])
            return
        config += f'[store]\nurl = "{postgres}"\n'
        (folder / "headgate.toml").write_text(config)
        await command(folder, "migrate")
        homes = [folder / name for name in "abc"]
        for home in homes:
            home.mkdir()
        yield Fleet(list(await asyncio.gather(*(stack.enter_async_context(serving(home, config)) for home in homes))))


async def eventually(check: Callable[[], Awaitable[Any]], patience: float = 10.0) -> None:
    """Wait until it is so, elsewhere. Raises TimeoutError."""
    async with asyncio.timeout(patience):
        while not await check():  # noqa: ASYNC110 - another process changes
            await asyncio.sleep(0.05)


def tally(answers: list[Answer]) -> Counter[int]:
    """How many answers have which status."""
    return Counter(answer.status for answer in answers)


def size(body: dict[str, Any]) -> int:
    """The bytes of a body as it is sent."""
    return len(json.dumps(body).encode())
