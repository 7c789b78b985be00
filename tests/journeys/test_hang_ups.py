"""Callers who leave: the upstream is hung up on within a second, what was used is written down, nothing stays taken."""

import asyncio
import json
import time

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head
from journeys._asking import PATHS, SURFACES, ask, check_good
from journeys._caller import connected, request
from journeys._service import serving
from journeys._upstreams import KINDS, frames, said

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open, key-of-bob:bob:two, key-of-cat:cat:tokens"
[tiers.open]
[tiers.two]
concurrent = 2
[tiers.tokens]
tokens = "5000/hour"
"""
KEY = "key-of-ann"


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("gone"), CONFIG + upstreams.config) as service:
        yield service


def asked(surface: str, model: str, request_id: str, *, stream: bool, key: str = KEY) -> bytes:
    body = json.dumps(ask(surface, model, stream=stream)).encode()
    return request("POST", PATHS[surface], body, {"Authorization": f"Bearer {key}", "X-Request-Id": request_id})


async def row_of(service, request_id: str) -> dict:
    async with asyncio.timeout(5):
        while not (rows := await service.entries(request_id=request_id)):
            await asyncio.sleep(0.05)
    [row] = rows
    return row


LEAVING = {
    "before the head": (True, [Upset.HANG]),
    "before the first frame": (True, [stream_head(), Upset.HANG]),
    "before the whole answer": (False, [Upset.HANG]),
    "in the middle of the whole answer": (False, [b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"id":', Upset.HANG]),
    "while it is asked again": (False, [b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"]),
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_caller_who_leaves_before_the_answer_cancels_it(service, upstreams, surface, kind):
    async def leave(name, streamed, script):
        model = upstreams.model(script)
        request_id = f"{surface}-{kind}-{name.replace(' ', '-')}"
        async with connected(service.port) as line:
            await line.send(asked(surface, f"{kind}/{model}", request_id, stream=streamed))
            await upstreams.asked(model)
            await asyncio.sleep(0.05)
        if "again" not in name:
            await upstreams.hung_up(model)
        row = await row_of(service, request_id)
        assert (row["status"], row["error"], row["target"]) == ("cancelled", "", model), name
        assert len(upstreams.requests(model)) == 1, name

    await asyncio.gather(*(leave(name, *how) for name, how in LEAVING.items()))


def endless(kind: str) -> list:
    """A stream that never ends, after ten words at once."""
    words = frames(kind, *["word "] * 10, end=False)
    return [stream_head(), chunk(b"".join(words)), *[chunk(words[-1]), 0.1] * 1000]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_caller_who_leaves_in_the_middle_of_a_stream_cancels_it(service, upstreams, surface, kind):
    model = upstreams.model(endless(kind))
    request_id = f"middle-{surface}-{kind}"
    async with connected(service.port) as line:
        await line.send(asked(surface, f"{kind}/{model}", request_id, stream=True))
        answer = await line.head()
        async for piece in line.pieces(answer):
            if b"word" in piece:
                break
    await upstreams.hung_up(model)
    row = await row_of(service, request_id)
    assert (row["status"], row["estimated"], row["finish"]) == ("cancelled", True, "")
    assert row["tokens_out"] >= 10
    assert row["tokens_in"] > 0


@pytest.mark.anyio
async def test_fifty_who_leave_at_once_are_all_cancelled(service, upstreams):
    model = upstreams.model(endless("openai"))

    async def leave(number, gone):
        async with connected(service.port) as line:
            await line.send(asked("openai", f"openai/{model}", f"fifty-{number}", stream=True))
            await line.head()
            await asyncio.sleep(0.01)
            await gone.wait()

    gone = asyncio.Event()
    leaving = [asyncio.create_task(leave(number, gone)) for number in range(50)]
    await upstreams.asked(model, 50)
    await asyncio.sleep(0.2)
    gone.set()
    await asyncio.gather(*leaving)
    await upstreams.hung_up(model)
    rows = {}
    async with asyncio.timeout(5):
        while len(rows) < 50:
            rows = {row["request_id"]: row for row in await service.entries(model=f"openai/{model}")}
    assert {row["status"] for row in rows.values()} == {"cancelled"}


@pytest.mark.anyio
async def test_upstreams_that_answer_in_the_same_instant_are_hung_up_on_too(service, upstreams):
    """A cancellation must not be lost when what was waited for has just come."""
    model = upstreams.model([stream_head(), *[chunk(frames("openai", "x")[0]), 0.001] * 5000])

    async def leave(number):
        async with connected(service.port) as line:
            await line.send(asked("openai", f"openai/{model}", f"same-{number}", stream=True))
            await line.head()
            await asyncio.sleep(number / 300)

    await asyncio.gather(*(leave(number) for number in range(30)))
    await upstreams.hung_up(model)


@pytest.mark.anyio
async def test_what_those_who_leave_had_taken_is_free_again(service, upstreams):
    hanging = upstreams.model([Upset.HANG])
    good = upstreams.model(said("openai", streamed=False))
    for number in range(4):
        async with connected(service.port) as one, connected(service.port) as two:
            for line, each in ((one, "a"), (two, "b")):
                await line.send(asked("openai", f"openai/{hanging}", f"slot-{number}{each}", stream=True, key="key-of-bob"))
            await upstreams.asked(hanging, 2 * number + 2)
            refused = await service.post("/v1/chat/completions", ask("openai", f"openai/{good}"), key="key-of-bob")
            assert refused.status == 429
    await row_of(service, "slot-3b")
    check_good("openai", await service.post("/v1/chat/completions", ask("openai", f"openai/{good}"), key="key-of-bob"))
    for number in range(3):
        async with connected(service.port) as line:
            await line.send(asked("openai", f"openai/{hanging}", f"tokens-{number}", stream=False, key="key-of-cat"))
            await upstreams.asked(hanging, 9 + number)
        await row_of(service, f"tokens-{number}")
    [left] = (await service.get("/me", key="key-of-cat")).json["limits"]
    assert left["left"] == 5000


@pytest.mark.anyio
async def test_a_caller_who_leaves_does_not_trip_the_breaker(service, upstreams):
    model = upstreams.model(*[[Upset.HANG]] * 8, said("openai", streamed=False))
    for number in range(8):
        async with connected(service.port) as line:
            await line.send(asked("openai", f"openai/{model}", f"trip-{number}", stream=False))
            await upstreams.asked(model, number + 1)
        await row_of(service, f"trip-{number}")
    check_good("openai", await service.post("/v1/chat/completions", ask("openai", f"openai/{model}"), key=KEY))


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_reader_holds_back_the_upstream(service, upstreams, surface, kind):
    """The service does not swallow what its caller does not read."""
    piece = chunk(frames(kind, "x" * 8000, end=False)[-1]) * 8
    model = upstreams.model([stream_head(), chunk(b"".join(frames(kind, "x", end=False))), *[piece] * 1000, Upset.HANG])
    async with connected(service.port) as line:
        line.reader._limit = 2**16
        await line.send(asked(surface, f"{kind}/{model}", f"slow-{surface}-{kind}", stream=True))
        await line.head()
        line.writer.transport.pause_reading()
        await upstreams.asked(model)
        [connection] = upstreams.connections(model)
        sent = -1
        async with asyncio.timeout(10):
            while connection.sent != sent:
                sent = connection.sent
                await asyncio.sleep(0.4)
        assert sent < 20_000_000  # of 64 MB; what is between is in the sockets of three processes
    await upstreams.hung_up(model)


@pytest.mark.anyio
async def test_a_slow_reader_gets_everything_in_the_end(service, upstreams):
    words = frames("openai", *["x" * 8000] * 600)
    model = upstreams.model([stream_head(), *map(chunk, words), LAST_CHUNK])
    async with connected(service.port) as line:
        await line.send(asked("openai", f"openai/{model}", "everything", stream=True))
        answer = await line.head()
        line.writer.transport.pause_reading()
        await asyncio.sleep(0.5)
        line.writer.transport.resume_reading()
        answer.body = b"".join([piece async for piece in line.pieces(answer)])
        answer.complete = True
        check_good("openai", answer, "x" * 4_800_000)


@pytest.mark.anyio
async def test_the_service_is_well_after_all_that(service):
    begun = time.monotonic()
    assert (await service.get("/ready")).status in {200, 503}
    assert (await service.get("/health")).status == 200
    assert time.monotonic() - begun < 5
    assert "Traceback" not in service.log
