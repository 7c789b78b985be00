"""Wires for tests, closed at their end."""

from contextlib import aclosing, asynccontextmanager

import pytest

from headgate.core.call import Clocks
from headgate.core.seams import Ask
from headgate.providers._wire import HttpWire

CLOCKS = Clocks(connect=5, first_event=5, idle=5, total=20)


class Asker:
    """Asks through HttpWires, and collects."""

    def __init__(self):
        self._wires = {}

    def wire(self, upstream, path="", **options):
        key = (upstream.url, path)
        if key not in self._wires:
            self._wires[key] = HttpWire(upstream.url + path, **options)
        return self._wires[key]

    @asynccontextmanager
    async def asking(self, upstream, *, stream=False, clocks=CLOCKS, deadline=float("inf"), relay=None):
        ask = Ask(path="/chat", body=b'{"model":"m"}', stream=stream, relay=relay)
        async with aclosing(self.wire(upstream).chunks(ask, clocks, deadline)) as chunks:
            yield chunks

    async def whole(self, upstream, **options):
        return b"".join(await self.pieces(upstream, **options))

    async def pieces(self, upstream, **options):
        async with self.asking(upstream, **options) as chunks:
            return [chunk async for chunk in chunks]

    async def aclose(self):
        for wire in self._wires.values():
            await wire.aclose()


@pytest.fixture
async def asker():
    """Asks an upstream."""
    asker = Asker()
    yield asker
    await asker.aclose()
