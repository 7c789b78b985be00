"""Callers who never stop, an upstream that keeps the bill, and the comparison of both with the ledger."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any

from headgate.testing import LAST_CHUNK, SeenRequest, Step, chunk, stream_head, whole
from journeys._asking import PATHS, SURFACES, ask, ended
from journeys._caller import Cut, connected, request
from journeys._upstreams import Upstreams, answer, data, frames

CALLERS = 8
PAUSE = 0.03
Row = tuple[str, str, int]
"""Request id, status, tokens out."""


class Load:
    """What was asked, seen and billed. Every answer of the upstream has a number of tokens of its own: its name."""

    def __init__(self, upstreams: Upstreams) -> None:
        self.model = "openai/" + upstreams.model([self._bill])
        self.billed: set[int] = set()
        self.seen: dict[str, int] = {}
        self.statuses: Counter[int] = Counter()
        self.told: set[str] = set()
        self.cut = 0
        self._numbers = count(1)
        self._names = count(1)

    def _bill(self, seen: SeenRequest) -> Iterator[Step]:
        number = next(self._numbers)
        usage = {"prompt_tokens": 1, "completion_tokens": number, "total_tokens": number + 1}
        if b'"stream": true' not in seen.body and b'"stream":true' not in seen.body:
            self.billed.add(number)
            yield whole(json.dumps({**answer("openai", f"#{number}"), "usage": usage}).encode())
            return
        text, end, _, done = frames("openai", f"#{number}")
        yield stream_head()
        yield chunk(text)
        yield 0.01
        self.billed.add(number)
        told = {"id": "c1", "object": "chat.completion.chunk", "model": "gpt", "choices": [], "usage": usage}
        yield b"".join(map(chunk, (end, data(told), done))) + LAST_CHUNK

    @asynccontextmanager
    async def on(self, *ports: int) -> AsyncIterator[None]:
        """Callers on these ports, until the block ends and each has got what it was waiting for."""
        stop = asyncio.Event()
        callers = [asyncio.create_task(self._call(ports[n % len(ports)], n, stop)) for n in range(CALLERS)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*callers)

    async def _call(self, port: int, number: int, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._ask(port, SURFACES[number % 3], f"call-{next(self._names)}", stream=number % 2 == 0)
            except (OSError, Cut):
                self.cut += 1
            await asyncio.sleep(PAUSE)

    async def _ask(self, port: int, surface: str, request_id: str, *, stream: bool) -> None:
        body = json.dumps(ask(surface, self.model, stream=stream)).encode()
        headers = {"X-API-Key": "key-of-ann", "X-Request-Id": request_id, "Connection": "close"}
        async with connected(port) as line:
            await line.send(request("POST", PATHS[surface], body, headers))
            got = await line.answer(30.0)
        self.statuses[got.status] += 1
        if not got.complete or (got.status == 200 and not ended(surface, got)):
            self.cut += 1
            return
        self.told.add(request_id)
        if got.status == 200:
            self.seen[request_id] = int(got.words.removeprefix("#"))

    def check(self, rows: list[Row], *, killed: bool = False) -> None:
        """The ledger and the bill are the same; only after a kill a bill may be left over, for an answer cut by it."""
        times = Counter(request_id for request_id, *_ in rows)
        assert set(times.values()) <= {1}, "doubled"
        assert self.told <= times.keys(), f"lost: {self.told - times.keys()}"
        written = {request_id: tokens for request_id, status, tokens in rows if status == "ok"}
        assert self.seen.items() <= written.items()
        assert len(set(written.values())) == len(written)
        assert set(written.values()) <= self.billed
        left_over = len(self.billed - set(written.values()))
        assert left_over <= (self.cut if killed else 0), f"{left_over} answers were billed and not written down"


SQL = "SELECT request_id, status, tokens_out FROM entries"


def rows_of_sqlite(folder: Path) -> list[Row]:
    """The ledger of a service that has stopped, from its file."""
    with closing(sqlite3.connect(folder / ".headgate" / "headgate.db")) as base:
        return base.execute(SQL).fetchall()


def rows_of_postgres(url: str) -> list[Any]:
    """The ledger in a PostgreSQL database."""
    import psycopg

    with psycopg.connect(url) as base:
        return base.execute(SQL).fetchall()
