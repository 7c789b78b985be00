"""More than the service can take: it says so at once, and callers who read slowly hold back their upstream."""

import asyncio
import json
import socket
from itertools import repeat
from pathlib import Path

import pytest

from headgate.testing import chunk, stream_head
from journeys._asking import PATHS, SURFACES, ask, check_error, check_good
from journeys._caller import request
from journeys._service import ADMIN, serving
from journeys._upstreams import frames, said

KEY = "key-of-ann"
CONFIG = """
[server]
max_in_flight = {most}
[access]
api_keys = "key-of-ann:ann:open"
[tiers.open]
"""
READERS = 40
MiB = 2**20


def memory(service) -> int:
    """The bytes that a service has in memory."""
    status = Path(f"/proc/{service.process.pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell how much memory a process has")
    return 1024 * int(status.read_text("utf-8").partition("VmRSS:")[2].split()[0])


@pytest.mark.anyio
async def test_calls_beyond_the_bound_are_refused_before_any_work_and_not_as_a_limit(tmp_path, upstreams):
    async with serving(tmp_path, CONFIG.format(most=3) + upstreams.config) as service:
        slow = upstreams.model([1.5, *said("openai", streamed=False)])
        other = upstreams.model(said("openai", streamed=False))
        busy = [asyncio.create_task(service.post("/chat", ask("simple", f"openai/{slow}"), key=KEY)) for _ in range(3)]
        await upstreams.asked(slow, 3)
        for surface in SURFACES:
            for key in (KEY, "no-key-at-all"):  # nobody is looked up
                refused = await service.post(PATHS[surface], ask(surface, f"openai/{other}"), key=key)
                check_error(surface, refused, 503, "overloaded")
                assert int(refused.headers["retry-after"]) >= 1
                assert "ratelimit" not in refused.headers
        assert (await service.get("/health")).status == 200
        assert "headgate_in_flight_requests 4.0" in (await service.get("/metrics", key=ADMIN)).text
        assert not upstreams.requests(other)
        for answer in await asyncio.gather(*busy):
            check_good("simple", answer)
        check_good("simple", await service.post("/chat", ask("simple", f"openai/{other}"), key=KEY))
        assert {row["error"] for row in await service.entries(status="refused")} == {"overloaded"}


async def sent_to(upstreams, model) -> int:
    """The bytes that an upstream could send by the time that it can send no more."""
    sent = -1
    async with asyncio.timeout(30):
        while sent != (now := sum(seen.sent for seen in upstreams.connections(model))):
            sent = now
            await asyncio.sleep(0.7)
    return sent


@pytest.mark.anyio
@pytest.mark.parametrize("surface", ["openai", "anthropic"])  # passed on, and translated
async def test_who_reads_slowly_holds_back_the_upstream_and_not_memory(tmp_path, upstreams, surface):
    piece = chunk(frames("openai", "x" * 60_000, end=False)[0])
    model = upstreams.model([stream_head(), repeat(piece)])
    sockets = []
    async with serving(tmp_path, CONFIG.format(most=100) + upstreams.config) as service:
        check_error(surface, await service.post(PATHS[surface], b"{}", key=KEY), 400)
        before = memory(service)
        try:
            for _ in range(READERS):
                reader = socket.socket()
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
                reader.setblocking(False)
                sockets.append(reader)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(reader, ("127.0.0.1", service.port))
                body = json.dumps(ask(surface, f"openai/{model}", stream=True)).encode()
                asked = request("POST", PATHS[surface], body, {"Authorization": f"Bearer {KEY}"})
                await loop.sock_sendall(reader, asked)
            await upstreams.asked(model, READERS)
            sent = await sent_to(upstreams, model)
            assert sent < READERS * 16 * MiB  # what the sockets' own buffers take; the answers have no end
            assert memory(service) - before < READERS * MiB
            assert (await service.get("/health")).status == 200
            taken = 0  # who reads on is sent on
            async with asyncio.timeout(30):
                while taken < 20 * MiB:
                    taken += len(await loop.sock_recv(sockets[0], 2**20))
            assert sum(seen.sent for seen in upstreams.connections(model)) > sent
        finally:
            for reader in sockets:
                reader.close()
        await upstreams.hung_up(model, 5.0)
