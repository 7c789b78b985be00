"""A thousand callers who ask for much and read nothing: they cost a bounded amount of memory, and others are served."""

import asyncio
import json
import resource
import socket
from contextlib import ExitStack

import psutil
import pytest

from headgate.testing import chunk, stream_head
from journeys._asking import PATHS, SURFACES, ask, check_good
from journeys._caller import request
from journeys._fleets import eventually
from journeys._service import serving
from journeys._upstreams import frames, said

READERS = 1000
EACH = 400 * 1024
"""Most bytes of the service's memory that one of them may cost."""

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open, slow:slow:many"
[tiers.open]
[tiers.many]
concurrent = 1000
"""


@pytest.fixture
def many_files():
    """As many open files as this machine lets a process have, if it asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.anyio
async def test_the_service_may_open_as_many_files_as_the_machine_allows(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with serving(tmp_path, CONFIG) as service:
            assert psutil.Process(service.process.pid).rlimit(psutil.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def slow_reader(port: int, body: dict, stack: ExitStack) -> socket.socket:
    """A caller that has asked, and reads nothing; its own buffer is as small as it gets."""
    line = stack.enter_context(socket.socket())
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    line.connect(("127.0.0.1", port))
    line.sendall(request("POST", PATHS["openai"], json.dumps(body).encode(), {"X-API-Key": "slow"}))
    return line


@pytest.mark.anyio
async def test_a_thousand_slow_readers_cost_little_and_harm_nobody(upstreams, tmp_path, many_files):
    word = chunk(frames("openai", "word " * 3000, end=False)[0])
    endless = upstreams.model([stream_head(), *[word] * 100_000])
    good = upstreams.model(said("openai", streamed=True))
    async with serving(tmp_path, CONFIG + upstreams.config) as service:
        process = psutil.Process(service.process.pid)
        await service.post(PATHS["openai"], ask("openai", f"openai/{good}", stream=True), key="key-of-ann")
        before = process.memory_info().rss
        with ExitStack() as stack:
            for number in range(READERS):
                slow_reader(service.port, ask("openai", f"openai/{endless}", stream=True), stack)
                if number % 50 == 0:
                    await upstreams.asked(endless, number)
            await upstreams.asked(endless, READERS, 20)
            taken = await settled(process)
            assert taken - before < READERS * EACH, f"{(taken - before) / READERS:.0f} bytes a reader"
            for surface in SURFACES:
                body = ask(surface, f"openai/{good}", stream=True)
                check_good(surface, await service.post(PATHS[surface], body, key="key-of-ann"))
            refused = await service.post(PATHS["openai"], ask("openai", f"openai/{good}"), key="slow")
            assert refused.status == 429
        await upstreams.hung_up(endless, 10)

        async def all_free():
            return (await service.get("/me", key="slow")).json["limits"][0]["left"] == READERS

        await eventually(all_free)
        total = (await service.get("/usage", key="slow")).json["total"]
        assert total["requests"] == READERS + 1


async def settled(process: psutil.Process) -> int:
    """The memory that a process takes once it takes no more."""
    last = 0
    async with asyncio.timeout(20):
        while (now := process.memory_info().rss) > last + 2**20:
            last = now
            await asyncio.sleep(0.5)
    return now
