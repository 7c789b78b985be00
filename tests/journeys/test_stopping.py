"""Stopping: asked to, the service lets answers end; killed, it has written down every answer whose end anybody saw."""

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head
from journeys._asking import PATHS, SURFACES, ask, check_error, check_good
from journeys._caller import Cut, connected, request
from journeys._service import ADMIN, SOURCE, serving
from journeys._upstreams import frames, said, stream

KEY = "key-of-ann"
CONFIG = """
[server]
drain = "{drain}"
[access]
api_keys = "key-of-ann:ann:open"
[tiers.open]
"""


def asked(surface: str, model: str, request_id: str, *, stream: bool) -> bytes:
    body = json.dumps(ask(surface, model, stream=stream)).encode()
    return request("POST", PATHS[surface], body, {"Authorization": f"Bearer {KEY}", "X-Request-Id": request_id})


def slow(kind: str, seconds: float) -> list:
    first, *rest = frames(kind, "Hello", " there")
    return [stream_head(), chunk(first), seconds, *map(chunk, rest), LAST_CHUNK]


@pytest.mark.anyio
async def test_running_answers_end_and_nobody_new_is_let_in(upstreams, tmp_path):
    async with serving(tmp_path, CONFIG.format(drain="10 s") + upstreams.config) as service, AsyncExitStack() as stack:
        lines = {}
        for surface in SURFACES:
            model = upstreams.model(slow("openai", 1.2))
            whole = upstreams.model([1.2, *said("openai", streamed=False)])
            for each, streamed in ((model, True), (whole, False)):
                line = lines[surface, streamed] = await stack.enter_async_context(connected(service.port))
                await line.send(asked(surface, f"openai/{each}", f"{surface}-{streamed}", stream=streamed))
                await upstreams.asked(each)
        resting = await stack.enter_async_context(connected(service.port))
        asking = await stack.enter_async_context(connected(service.port))
        for line in (resting, asking):
            await line.send(request("GET", "/ready"))
            assert (await line.answer()).status == 200

        service.terminate()
        await asyncio.sleep(0.3)
        await resting.send(request("GET", "/ready"))
        answer = await resting.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert "draining" in answer.json["failing"]
        await asking.send(
            asked("openai", f"openai/{upstreams.model(said('openai', streamed=False))}", "late", stream=False)
        )
        answer = await asking.answer()
        check_error("openai", answer, 503)
        assert answer.headers["retry-after"]
        answer = await service.get("/ready")  # on a connection of its own
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert (await service.get("/health")).status == 200
        for (surface, _), line in lines.items():
            check_good(surface, await line.answer())
            assert await line.closed(5)
        assert await service.ended() == 0
        assert {"late", *(f"{surface}-{streamed}" for surface, streamed in lines)} <= set(service.stored())


@pytest.mark.anyio
async def test_an_answer_that_outlasts_the_drain_is_cut_and_written_down(upstreams, tmp_path):
    async with (
        serving(tmp_path, CONFIG.format(drain="500 ms") + upstreams.config) as service,
        AsyncExitStack() as stack,
    ):
        streaming, waiting, half = [await stack.enter_async_context(connected(service.port)) for _ in range(3)]
        endless = upstreams.model([stream_head(), chunk(frames("openai", "Hello")[0]), Upset.HANG])
        silent = upstreams.model([Upset.HANG])
        await streaming.send(asked("openai", f"openai/{endless}", "cut", stream=True))
        await waiting.send(asked("openai", f"openai/{silent}", "waited", stream=False))
        await half.send(b"POST /chat HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
        await upstreams.asked(endless)
        await upstreams.asked(silent)
        service.terminate()
        answer = await streaming.answer()
        assert not answer.complete or "error" in answer.text
        assert "[DONE]" not in answer.text
        check_error("openai", await waiting.answer(), 503)
        assert await service.ended(5) == 0
        await upstreams.hung_up(endless)
        assert {"cut", "waited"} <= set(service.stored())


@pytest.mark.anyio
async def test_interrupted_at_a_terminal_it_stops_as_well(tmp_path):
    async with serving(tmp_path, CONFIG.format(drain="10 s")) as service:
        service.process.send_signal(signal.SIGINT)
        assert await service.ended(5) == 0
        assert "Traceback" not in service.log


@pytest.mark.anyio
async def test_stopped_at_rest_it_does_not_wait(tmp_path):
    async with serving(tmp_path, CONFIG.format(drain="60 s")) as service, connected(service.port) as line:
        await line.send(request("GET", "/health"))
        await line.answer()
        service.terminate()
        assert await service.ended(3) == 0
        assert await line.closed()


@pytest.mark.anyio
async def test_killed_under_load_it_has_lost_no_answer_whose_end_anybody_saw(upstreams, tmp_path):
    model = upstreams.model(stream("openai", "Hello", " there"))
    config = CONFIG.format(drain="1 s") + upstreams.config
    seen: list[str] = []

    async def caller(service, number):
        surface, streamed = SURFACES[number % 3], number % 2 == 0
        wanted = f"openai/{model}" if streamed else "echo/echo"
        for turn in range(10_000):
            async with connected(service.port) as line:
                request_id = f"{number}-{turn}"
                await line.send(asked(surface, wanted, request_id, stream=streamed))
                answer = await line.answer()
                if answer.complete and answer.status == 200:
                    seen.append(request_id)

    async with serving(tmp_path, config + "[providers.echo]\n") as service:
        calling = [asyncio.create_task(caller(service, number)) for number in range(12)]
        await asyncio.sleep(1.5)
        service.process.kill()
        await service.ended()
        await asyncio.wait(calling, timeout=10)
        for task in calling:
            assert isinstance(task.exception(), OSError | Cut)
    assert len(seen) > 50

    async with serving(tmp_path, config + "[providers.echo]\n") as again:
        stored = again.stored()
        assert len(stored) == len(set(stored))
        assert set(seen) <= set(stored)
        assert (await again.get("/usage", key=ADMIN)).json["total"]["requests"] == len(stored)


@pytest.mark.anyio
@pytest.mark.parametrize("after", [0.4, 0.7, 1.0, 1.3])
async def test_a_service_that_is_told_to_stop_while_it_starts_stops(tmp_path, after):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headgate", "serve", "--port", "0"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE},
        stderr=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(after)
    process.terminate()
    async with asyncio.timeout(30):
        _, told = await process.communicate()
    assert process.returncode in {0, -signal.SIGTERM}, told
    assert b"Traceback" not in told
