"""Clocks, bounds and backpressure of one connection, over real sockets and on both event loops."""

import asyncio
import itertools
import time

import pytest

from headgate.core.call import Clocks
from headgate.core.faults import UpstreamBroken, UpstreamTimeout
from headgate.core.seams import Answered
from headgate.providers._bounds import Bounds
from headgate.testing import LAST_CHUNK, ScriptedUpstream, Upset, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

INFORMATION = b"HTTP/1.1 100 Continue\r\n\r\n"
DRIP = itertools.repeat([chunk(b"x"), 0.02])
COMMENTS = itertools.repeat([chunk(b": ping\n\n"), 0.02])


def slow(**clocks):
    return Clocks(**{"connect": 30, "first_event": 30, "idle": 30, "total": 30} | clocks)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


@pytest.mark.parametrize(
    ("steps", "clock"),
    [
        ([Upset.HANG], "first_event"),
        ([b"HTTP/1.1 200 OK\r\n", Upset.HANG], "first_event"),
        ([stream_head(), Upset.HANG], "first_event"),
        ([stream_head(), b"5\r\n", Upset.HANG], "first_event"),
        ([INFORMATION, Upset.HANG], "first_event"),
        ([stream_head(), chunk(b"x"), Upset.HANG], "idle"),
        ([stream_head(), chunk(b"x"), 0.05, chunk(b"y"), Upset.HANG], "idle"),
        ([stream_head(), DRIP], "total"),
        ([stream_head(), COMMENTS], "total"),
        ([itertools.repeat([INFORMATION, 0.05])], "total"),
        ([itertools.repeat([b"HTTP/1.1 200 OK\r\n", itertools.repeat([b"a", 0.02])])], "total"),
        ([stream_head(), DRIP], "deadline"),
        ([Upset.HANG], "deadline"),
    ],
)
async def test_the_clock_that_runs_out_is_named_and_the_socket_closed(asker, steps, clock):
    clocks = Clocks() if clock == "deadline" else slow(**{clock: 0.1})
    deadline = time.monotonic() + 0.1 if clock == "deadline" else float("inf")
    async with ScriptedUpstream(steps) as upstream, asyncio.timeout(10):
        with pytest.raises(UpstreamTimeout) as caught:
            await asker.whole(upstream, stream=True, clocks=clocks, deadline=deadline)
        assert caught.value.details == {"clock": clock}
        await upstream.connections[0].closed.wait()


async def test_the_clocks_hold_on_a_pooled_connection_too(asker):
    async with ScriptedUpstream([whole(b"{}")], [Upset.HANG]) as upstream, asyncio.timeout(10):
        await asker.whole(upstream)
        with pytest.raises(UpstreamTimeout) as caught:
            await asker.whole(upstream, clocks=slow(first_event=0.2))
        assert caught.value.details == {"clock": "first_event"}
        assert len(upstream.connections) == 1


async def test_a_whole_answer_is_under_the_clocks_as_well(asker):
    async with ScriptedUpstream([whole(b"{}")[:-1], Upset.HANG]) as upstream, asyncio.timeout(10):
        with pytest.raises(UpstreamTimeout) as caught:
            await asker.whole(upstream, clocks=slow(idle=0.2))
        assert caught.value.details == {"clock": "idle"}


async def test_slow_but_steady_bytes_outlast_the_idle_clock(asker):
    steps = [[chunk(b"x"), 0.1] for _ in range(5)]
    async with ScriptedUpstream([stream_head(), *steps, LAST_CHUNK]) as upstream:
        assert await asker.whole(upstream, stream=True, clocks=slow(idle=0.4, first_event=0.4)) == b"x" * 5


async def test_a_deadline_that_has_passed_opens_no_connection(asker):
    async with ScriptedUpstream() as upstream:
        with pytest.raises(UpstreamTimeout) as caught:
            await asker.whole(upstream, deadline=time.monotonic() - 1)
        assert caught.value.details == {"clock": "deadline"}
        assert upstream.requests == []


async def test_a_reader_that_takes_its_time_is_not_the_upstreams_silence(asker):
    data = [chunk(b"x" * 65536)] * 40
    async with ScriptedUpstream([stream_head(), *data, LAST_CHUNK]) as upstream:
        async with asker.asking(upstream, stream=True, clocks=slow(idle=0.1)) as chunks:
            size = len(await anext(chunks))
            await asyncio.sleep(0.3)
            async for piece in chunks:
                size += len(piece)
        assert size == 40 * 65536


async def test_what_came_before_a_clock_ran_out_is_still_handed_over(asker):
    async with ScriptedUpstream([stream_head(), itertools.repeat(chunk(b"x" * 65536))]) as upstream:
        async with asker.asking(upstream, stream=True, clocks=slow(total=0.1)) as chunks:
            await anext(chunks)
            await asyncio.sleep(0.2)
            assert await anext(chunks)
            with pytest.raises(UpstreamTimeout) as caught:
                await anext(chunks)
        assert caught.value.details == {"clock": "total"}


async def test_an_upstream_is_held_back_while_nobody_reads(asker):
    endless = itertools.repeat(chunk(b"x" * 65536))
    async with ScriptedUpstream([stream_head(), endless]) as upstream, asker.asking(upstream, stream=True) as chunks:
        await anext(chunks)
        await asyncio.sleep(0.2)
        sent = upstream.connections[0].sent
        await asyncio.sleep(0.2)
        assert upstream.connections[0].sent == sent
        assert len(await anext(chunks)) <= 512 * 1024


async def test_an_error_whose_body_never_ends_is_told_all_the_same(asker):
    head = b"HTTP/1.1 429 No\r\ncontent-length: 100\r\n\r\nbusy"
    async with ScriptedUpstream([head, Upset.HANG]) as upstream, asyncio.timeout(4):
        asker.wire(upstream, bounds=Bounds(error_seconds=0.2))
        with pytest.raises(Answered) as caught:
            await asker.whole(upstream, clocks=slow())
        assert (caught.value.status, caught.value.body) == (429, b"busy")


async def test_of_an_endless_error_only_the_start_is_read(asker):
    head = b"HTTP/1.1 500 No\r\n\r\n"
    async with ScriptedUpstream([head, itertools.repeat(b"x" * 8192)]) as upstream, asyncio.timeout(5):
        with pytest.raises(Answered) as caught:
            await asker.whole(upstream)
        assert caught.value.body == b"x" * 65536
        await upstream.connections[0].closed.wait()


@pytest.mark.parametrize(
    "steps",
    [
        [b"HTTP/1.1 200 OK\r\n", itertools.repeat(b"a: b\r\n" * 100)],
        [b"HTTP/1.1 200 OK\r\na: ", itertools.repeat(b"b" * 1000)],
        [b"HTTP/1.1 200 OK\r\n", itertools.repeat(b"b" * 1000)],
        [b"HTTP/1.1 200 ", itertools.repeat(b"b" * 1000)],
        [b"HTTP/1.1 200 OK\r\na: " + b"b" * 20000 + b"\r\ncontent-length: 2\r\n\r\n{}"],
        [b"HTTP/1.1 200 OK\r\n" + b"".join(b"h%d: 1\r\n" % n for n in range(300)) + b"content-length: 2\r\n\r\n{}"],
        [stream_head(), chunk(b"x"), b"0\r\na: ", itertools.repeat(b"b" * 1000)],
        [stream_head(), chunk(b"x"), b"0\r\n", itertools.repeat(b"a: b\r\n" * 100)],
        [stream_head(), chunk(b"x"), b"1;", itertools.repeat(b"b" * 1000)],
    ],
    ids=["lines", "value", "name", "reason", "one line", "many", "trailer", "trailers", "extension"],
)
async def test_heads_trailers_and_extensions_are_bounded(asker, steps):
    async with ScriptedUpstream(steps) as upstream, asyncio.timeout(10):
        with pytest.raises(UpstreamBroken):
            await asker.whole(upstream, stream=True)
        await upstream.connections[0].closed.wait()


async def test_a_few_informational_answers_are_passed_over(asker):
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\ncontent-type: text/html\r\n\r\n"
    async with ScriptedUpstream([INFORMATION, hints, 0.02, hints, whole(b"{}")]) as upstream:
        for _ in range(2):
            assert await asker.whole(upstream) == b"{}"
        assert len(upstream.connections) == 1


@pytest.mark.parametrize(
    "steps", [[itertools.repeat(INFORMATION)], [INFORMATION * 1000], [b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"]]
)
async def test_endless_informational_answers_and_upgrades_are_broken(asker, steps):
    async with ScriptedUpstream(steps) as upstream, asyncio.timeout(10):
        with pytest.raises(UpstreamBroken):
            await asker.whole(upstream)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_endless_body_is_broken_at_its_bound(asker, stream):
    kind = {} if stream else {"content-type": "application/json"}
    async with ScriptedUpstream([stream_head(kind), itertools.repeat(chunk(b"x" * 8192))]) as upstream:
        asker.wire(upstream, bounds=Bounds(body=1_000_000))
        with pytest.raises(UpstreamBroken, match="more than 1000000 bytes"):
            await asker.whole(upstream, stream=stream)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"<html></html>",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
    ],
)
async def test_what_is_not_http_is_broken(asker, answer):
    async with ScriptedUpstream([answer, Upset.HANG]) as upstream, asyncio.timeout(10):
        with pytest.raises(UpstreamBroken):
            await asker.whole(upstream)
