"""The fakes that Headgate ships keep their promises."""

import asyncio
import itertools
from contextlib import aclosing

import pytest

from headgate.core.call import Call, Clocks, Prompt
from headgate.core.events import Done, Text
from headgate.core.faults import UpstreamDown
from headgate.core.seams import Answered, Ask
from headgate.testing import FrozenClock, ScriptedProvider, ScriptedUpstream, ScriptedWire, Upset, whole

pytestmark = pytest.mark.anyio

CALL = Call(model="m", understand=lambda _: Prompt(messages=()))
REQUEST = b"POST /a?b HTTP/1.1\r\nX-Name: v\r\nContent-Length: 2\r\n\r\nhi"


async def test_an_upstream_records_requests_and_plays_its_scripts_in_order():
    async with ScriptedUpstream([b"one"]).then(lambda request: [request.body], 0.01, [b"!", Upset.CLOSE]) as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(REQUEST + REQUEST)
        assert await reader.read() == b"onehi!"
        writer.close()
    first, second = upstream.requests
    assert (first.method, first.path, first.headers["x-name"], first.body) == ("POST", "/a?b", "v", b"hi")
    assert upstream.connections[0].requests == [first, second]


async def test_an_upstream_repeats_its_last_script_and_greets():
    async with ScriptedUpstream([b"a"], [b"b"], greeting=[b"hello "]) as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        assert await reader.readexactly(6) == b"hello "
        writer.write(REQUEST * 3)
        assert await reader.readexactly(3) == b"abb"
        writer.close()
        await upstream.connections[0].closed.wait()


async def test_an_upstream_resets_hangs_and_notices_who_leaves():
    async with ScriptedUpstream([0.01, Upset.RESET], [b"x", Upset.HANG]) as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(REQUEST)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(REQUEST)
        assert await reader.readexactly(1) == b"x"
        connection = upstream.connections[1]
        assert connection.closed_at is None
        writer.close()
        async with asyncio.timeout(5):
            await connection.closed.wait()
        assert connection.closed_at > connection.opened_at


async def test_an_upstream_is_held_back_by_a_client_that_does_not_read():
    async with ScriptedUpstream([itertools.repeat(b"x" * 65536)]) as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port, limit=1024)
        writer.write(REQUEST)
        await asyncio.sleep(0.1)
        sent = upstream.connections[0].sent
        await asyncio.sleep(0.1)
        assert upstream.connections[0].sent == sent
        writer.transport.abort()


async def test_a_whole_answer_may_be_of_any_status_and_type():
    assert whole(b"{}", 429, {"retry-after": "1"}) == (
        b"HTTP/1.1 429 Scripted\r\ncontent-type: application/json\r\ncontent-length: 2\r\nretry-after: 1\r\n\r\n{}"
    )


async def test_a_wire_plays_chunks_and_failures_and_counts_who_leaves():
    wire = ScriptedWire([b"a", 0.01, b"b"], [b"a", Answered(429, {}, b"")])
    ask = Ask(path="/", body=b"")
    assert [c async for c in wire.chunks(ask, Clocks(), 0)] == [b"a", b"b"]
    with pytest.raises(Answered):
        [c async for c in wire.chunks(ask, Clocks(), 0)]
    assert wire.hung_up == 0
    async with aclosing(wire.chunks(ask, Clocks(), 0)) as chunks:
        await anext(chunks)
    assert wire.hung_up == 1
    assert wire.asks == [ask] * 3
    await wire.aclose()
    assert wire.closed


async def test_a_provider_says_events_and_faults_and_counts_who_leaves():
    provider = ScriptedProvider([Text("a"), 0.01, Done()], [UpstreamDown("no")], [Text("b"), 60])
    assert [e async for e in provider.events(CALL)] == [Text("a"), Done()]
    with pytest.raises(UpstreamDown):
        [e async for e in provider.events(CALL)]
    task = asyncio.create_task(anext(aiter_after_first(provider)))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert provider.hung_up == 1
    assert provider.calls == [CALL] * 3


async def aiter_after_first(provider):
    async with aclosing(provider.events(CALL)) as events:
        await anext(events)
        yield await anext(events)


async def test_a_frozen_clock_moves_when_told():
    clock = FrozenClock(5.0)
    clock.advance(2.5)
    assert clock() == 7.5
