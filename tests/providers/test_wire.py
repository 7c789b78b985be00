"""The wire over real sockets, against an upstream that is scripted byte for byte, on both event loops."""

import asyncio
import gzip
import socket

import pytest
from msgspec import structs

from headgate.core.call import Clocks
from headgate.core.faults import UpstreamBroken, UpstreamDown, UpstreamRejected, UpstreamTimeout
from headgate.core.seams import Answered, Ask
from headgate.providers._bounds import Bounds
from headgate.providers._wire import HttpWire
from headgate.testing import LAST_CHUNK, ScriptedUpstream, Upset, chunk, stream_head, whole
from providers.conftest import CLOCKS

pytestmark = pytest.mark.anyio

STREAM = [stream_head(), chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n"), LAST_CHUNK]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


async def test_the_request_is_well_formed(asker):
    async with ScriptedUpstream([whole(b'{"a":1}')]) as upstream:
        wire = asker.wire(upstream, "/v1/", headers={"Authorization": "Bearer k\n"})
        ask = Ask(path="/chat?x=1", body=b"{}", headers=(("X-Other", "y"),))
        assert [c async for c in wire.chunks(ask, Clocks(), float("inf"))] == [b'{"a":1}']
    request = upstream.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat?x=1", b"{}")
    assert request.headers.pop("host").startswith("127.0.0.1:")
    assert request.headers == {
        "authorization": "Bearer k",
        "x-other": "y",
        "content-length": "2",
        "content-type": "application/json",
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "headgate",
    }


async def test_an_asks_header_replaces_the_wires_of_the_same_name(asker):
    async with ScriptedUpstream() as upstream:
        wire = asker.wire(upstream, headers={"X-Version": "1"})
        for value in ("2", "3"):
            ask = Ask(path="/", body=b"{}", headers=(("x-version", value),))
            assert [c async for c in wire.chunks(ask, Clocks(), float("inf"))] == [b"{}"]
    assert [request.headers["x-version"] for request in upstream.requests] == ["2", "3"]


async def test_a_header_or_path_cannot_smuggle_a_line(asker):
    with pytest.raises(ValueError, match="header"):
        HttpWire("http://127.0.0.1:1", headers={"x": "secret\r\ny: z"})
    async with ScriptedUpstream() as upstream:
        wire = asker.wire(upstream)
        for path in ("/a b", "/a\r\nx: y", "/\u00e9", "a"):
            with pytest.raises(UpstreamRejected):
                await anext(wire.chunks(Ask(path=path, body=b""), Clocks(), float("inf")))
    assert upstream.requests == []


@pytest.mark.parametrize(
    "url", ["127.0.0.1:1", "ftp://h/", "http://", "http://user:secret@h/", "http://h/?a=1", "unix:/run/x"]
)
async def test_an_address_that_is_none_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="base URL") as caught:
        HttpWire(url)
    assert "secret" not in str(caught.value)


async def test_a_stream_arrives_read_by_read(asker):
    steps = [[chunk(b"data: %d\n\n" % n), 0.05] for n in range(3)]
    async with ScriptedUpstream([stream_head(), *steps, LAST_CHUNK]) as upstream:
        assert await asker.pieces(upstream, stream=True) == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


async def test_a_relay_may_take_what_comes_once_all_before_it_was_taken(asker):
    offered = []

    def relay(read):
        offered.append(read)
        return b"2" in read

    steps = [[chunk(b"data: %d\n\n" % n), 0.05] for n in range(5)]
    async with (
        ScriptedUpstream([stream_head(), *steps, LAST_CHUNK]) as upstream,
        asker.asking(upstream, stream=True, relay=relay) as chunks,
    ):
        first = await anext(chunks)
        await asyncio.sleep(0.08)  # the next one comes while nobody waits
        rest = [read async for read in chunks]
    assert (first, rest) == (b"data: 0\n\n", [b"data: 1\n\n", b"data: 3\n\n", b"data: 4\n\n"])
    assert offered == [b"data: 2\n\n", b"data: 3\n\n", b"data: 4\n\n"]


async def test_what_a_relay_takes_counts_and_is_timed_as_well(asker):
    steps = [chunk(1000 * b"x"), 0.1] * 8
    clocks = structs.replace(CLOCKS, idle=0.3)
    async with ScriptedUpstream([stream_head(), *steps, Upset.HANG]) as upstream:
        with pytest.raises(UpstreamTimeout, match="silent"):
            await asker.pieces(upstream, stream=True, clocks=clocks, relay=lambda _: True)
        wire = HttpWire(upstream.url, bounds=Bounds(body=4096))
        ask = Ask(path="/", body=b"{}", stream=True, relay=lambda _: True)
        with pytest.raises(UpstreamBroken, match="4096"):
            assert [read async for read in wire.chunks(ask, CLOCKS, float("inf"))]
        await wire.aclose()


async def test_a_relay_is_not_offered_what_is_compressed(asker):
    body = gzip.compress(b"data: 1\n\n")
    steps = [step for byte in body for step in (chunk(bytes([byte])), 0.001)]
    head = stream_head({"content-encoding": "gzip"})
    async with ScriptedUpstream([head, *steps, LAST_CHUNK]) as upstream:
        assert await asker.whole(upstream, stream=True, relay=lambda _: True) == b"data: 1\n\n"


async def test_chunks_of_one_read_are_joined(asker):
    async with ScriptedUpstream([b"".join(STREAM)]) as upstream:
        assert await asker.pieces(upstream, stream=True) == [b"data: 1\n\ndata: 2\n\n"]


async def test_a_body_of_many_megabytes_arrives_whole_in_both_directions(asker):
    body = b'"' + b"x" * 5_000_000 + b'"'
    async with ScriptedUpstream([lambda request: [whole(request.body)]]) as upstream:
        pieces = [c async for c in asker.wire(upstream).chunks(Ask(path="/", body=body), Clocks(), float("inf"))]
    assert b"".join(pieces) == body


async def test_a_finished_connection_is_used_again(asker):
    async with ScriptedUpstream([whole(b"{}")], STREAM, STREAM, [whole(b"{}")]) as upstream:
        for stream in (False, True, True, False):
            await asker.whole(upstream, stream=stream)
        assert len(upstream.connections) == 1
        assert len(upstream.connections[0].requests) == 4


async def test_a_connection_that_the_upstream_closes_is_not_used_again(asker):
    async with ScriptedUpstream([whole(b"{}", headers={"connection": "close"})]) as upstream:
        for _ in range(2):
            assert await asker.whole(upstream) == b"{}"
        assert len(upstream.connections) == 2


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", b"garbage"])
@pytest.mark.parametrize("apart", [True, False])
async def test_bytes_after_an_answer_reach_nobody_and_end_the_connection(asker, extra, apart):
    first = [whole(b"{}"), 0.02, extra] if apart else [whole(b"{}") + extra]
    async with ScriptedUpstream(first, [whole(b"[1]")]) as upstream:
        assert await asker.whole(upstream) == b"{}"
        async with asyncio.timeout(5):
            await upstream.connections[0].closed.wait()
        assert await asker.whole(upstream) == b"[1]"
        assert len(upstream.connections) == 2


async def test_a_body_without_a_length_ends_with_the_connection(asker):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    async with ScriptedUpstream([head, b"[1,", 0.02, b"2]", Upset.CLOSE]) as upstream:
        assert await asker.whole(upstream) == b"[1,2]"


@pytest.mark.parametrize("upset", [Upset.CLOSE, Upset.RESET])
@pytest.mark.parametrize(
    "sent",
    [
        whole(b"[1,2,3]")[:-2],
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[1,2",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"[1,2]"),
        whole(b"[1,2,3]")[:-7],
    ],
    ids=["short", "in a chunk", "no last chunk", "only a head"],
)
async def test_an_answer_cut_in_its_body_is_broken(asker, sent, upset):
    async with ScriptedUpstream([sent, 0.03, upset]) as upstream:
        with pytest.raises(UpstreamBroken):
            await asker.whole(upstream)
    assert len(upstream.requests) == 1


async def test_a_reset_is_not_the_end_of_a_body_without_a_length(asker):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    async with ScriptedUpstream([head, b"[1,2]", 0.03, Upset.RESET]) as upstream:
        with pytest.raises(UpstreamBroken):
            await asker.whole(upstream)


@pytest.mark.parametrize("upset", [Upset.CLOSE, Upset.RESET])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 20"])
async def test_a_connection_that_ends_before_the_head_is_down_and_not_retried(asker, sent, upset):
    async with ScriptedUpstream([sent, 0.03, upset]) as upstream:
        with pytest.raises(UpstreamDown):
            await asker.whole(upstream)
    assert len(upstream.requests) == 1


async def test_a_refused_connection_is_down_and_names_no_address(asker):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        wire = HttpWire(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(UpstreamDown) as caught:
            await anext(wire.chunks(Ask(path="/", body=b""), Clocks(), float("inf")))
    assert "refused" in caught.value.message
    assert "127" not in caught.value.message


async def test_an_unknown_host_is_down():
    wire = HttpWire("http://nowhere.invalid")
    with pytest.raises(UpstreamDown):
        await anext(wire.chunks(Ask(path="/", body=b""), Clocks(), float("inf")))


@pytest.mark.parametrize("upset", [Upset.CLOSE, Upset.RESET])
async def test_a_pooled_connection_that_turns_out_dead_is_replaced_once(asker, upset):
    async with ScriptedUpstream([whole(b"{}")], [upset], [whole(b"[1]")]) as upstream:
        asker.wire(upstream, bounds=Bounds(doubt=0))
        await asker.whole(upstream)
        assert await asker.whole(upstream) == b"[1]"
        assert len(upstream.connections) == 2


@pytest.mark.parametrize("upset", [Upset.CLOSE, Upset.RESET])
async def test_a_pooled_connection_that_was_used_just_now_is_not_replaced(asker, upset):
    async with ScriptedUpstream([whole(b"{}")], [upset], [whole(b"[1]")]) as upstream:
        await asker.whole(upstream)
        with pytest.raises(UpstreamDown):
            await asker.whole(upstream)
    assert len(upstream.requests) == 2


async def test_of_pooled_connections_only_one_is_found_dead(asker):
    async with ScriptedUpstream([0.05, whole(b"{}")]) as upstream:
        asker.wire(upstream, bounds=Bounds(doubt=0))
        await asyncio.gather(*(asker.whole(upstream) for _ in range(3)))
        upstream.then(Upset.CLOSE).then(whole(b"[1]"))
        upstream._scripts.pop(0)
        assert await asker.whole(upstream) == b"[1]"
        await asyncio.sleep(0.05)
        assert [connection.closed_at is None for connection in upstream.connections] == [False, False, False, True]


async def test_a_fresh_connection_that_dies_after_a_stale_one_is_down(asker):
    async with ScriptedUpstream([whole(b"{}")], [Upset.CLOSE]) as upstream:
        asker.wire(upstream, bounds=Bounds(doubt=0))
        await asker.whole(upstream)
        with pytest.raises(UpstreamDown):
            await asker.whole(upstream)
    assert len(upstream.requests) == 3


async def test_a_pooled_connection_that_dies_in_its_head_is_not_replaced(asker):
    async with ScriptedUpstream([whole(b"{}")], [b"HTTP/1.1 2", 0.03, Upset.CLOSE], [whole(b"[1]")]) as upstream:
        await asker.whole(upstream)
        with pytest.raises(UpstreamDown):
            await asker.whole(upstream)


async def test_a_connection_closed_at_rest_is_not_missed(asker):
    async with ScriptedUpstream([whole(b"{}"), Upset.CLOSE], [whole(b"[1]")]) as upstream:
        for body in (b"{}", b"[1]"):
            assert await asker.whole(upstream) == body
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("status", [301, 302, 304, 307, 308, 400, 401, 404, 429, 500, 503, 529])
async def test_another_status_is_raised_with_its_headers_and_body(asker, status):
    body = b"" if status == 304 else b'{"error":"no"}'
    headers = {"Retry-After": "7", "Location": "/elsewhere"}
    async with ScriptedUpstream([whole(body, status, headers)]) as upstream:
        with pytest.raises(Answered) as caught:
            await asker.whole(upstream, stream=True)
        assert caught.value.status == status
        assert caught.value.body == body
        assert caught.value.headers["retry-after"] == "7"
        assert len(upstream.requests) == 1


async def test_a_connection_is_used_again_after_an_error(asker):
    async with ScriptedUpstream([whole(b"{}", 429)]) as upstream:
        for _ in range(2):
            with pytest.raises(Answered):
                await asker.whole(upstream)
        assert len(upstream.connections) == 1


@pytest.mark.parametrize("upset", [Upset.CLOSE, Upset.RESET])
async def test_an_error_whose_body_breaks_off_is_still_that_error(asker, upset):
    head = b"HTTP/1.1 503 No\r\ncontent-length: 100\r\n\r\n"
    for sent in (b"", b"busy"):
        async with ScriptedUpstream([head, sent, 0.03, upset]) as upstream:
            with pytest.raises(Answered) as caught:
                await asker.whole(upstream)
            assert caught.value.status == 503
            assert caught.value.body == sent


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "image/png", "text/event-stream"])
async def test_a_whole_answer_that_is_not_json_is_broken(asker, kind):
    async with ScriptedUpstream([whole(b"<p>", headers={"content-type": kind})]) as upstream:
        with pytest.raises(UpstreamBroken, match=f"answered with {kind}, not JSON"):
            await asker.whole(upstream)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "text/json", "application/a+json"]
)
async def test_every_name_of_json_is_taken(asker, kind):
    async with ScriptedUpstream([whole(b"{}", headers={"content-type": kind})]) as upstream:
        assert await asker.whole(upstream) == b"{}"


async def test_a_whole_answer_may_lack_a_type(asker):
    async with ScriptedUpstream([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]) as upstream:
        assert await asker.whole(upstream) == b"{}"
        with pytest.raises(UpstreamBroken, match="no content type, not a stream"):
            await asker.whole(upstream, stream=True)


@pytest.mark.parametrize(
    "kind", ["text/event-stream;charset=UTF-8", "application/x-ndjson", "application/vnd.amazon.eventstream"]
)
async def test_every_kind_of_stream_is_taken(asker, kind):
    async with ScriptedUpstream([stream_head({"content-type": kind}), chunk(b"x"), LAST_CHUNK]) as upstream:
        assert await asker.whole(upstream, stream=True) == b"x"


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/json"])
async def test_a_stream_of_another_type_is_broken(asker, kind):
    async with ScriptedUpstream([whole(b'{"choices":[]}', headers={"content-type": kind})]) as upstream:
        with pytest.raises(UpstreamBroken, match=f"answered with {kind}, not a stream"):
            await asker.whole(upstream, stream=True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error":{"message":"m"}}', 502),
        (b'{"error":"m"}', 502),
        (b'{"error":{"code":503}}', 503),
        (b'{"error":{"code":"429"}}', 429),
        (b'{"error":{"type":"overloaded_error"}}', 529),
        (b'{"error":{"code":200}}', 502),
    ],
)
async def test_an_error_inside_a_200_counts_as_the_status_it_claims(asker, body, status):
    async with ScriptedUpstream([whole(body)]) as upstream:
        with pytest.raises(Answered) as caught:
            await asker.whole(upstream, stream=True)
        assert (caught.value.status, caught.value.body) == (status, body)


async def test_leaving_a_stream_hangs_up_on_the_upstream_at_once(asker):
    async with ScriptedUpstream([stream_head(), chunk(b"data: 1\n\n"), Upset.HANG]) as upstream:
        async with asker.asking(upstream, stream=True) as chunks:
            assert await anext(chunks) == b"data: 1\n\n"
        async with asyncio.timeout(1):
            await upstream.connections[0].closed.wait()


@pytest.mark.parametrize("steps", [[Upset.HANG], [stream_head(), Upset.HANG], [stream_head(), chunk(b"x"), Upset.HANG]])
async def test_a_cancelled_call_hangs_up_on_the_upstream_at_once(asker, steps):
    async with ScriptedUpstream(steps) as upstream:
        task = asyncio.create_task(asker.whole(upstream, stream=True))
        async with asyncio.timeout(5):
            while not upstream.requests:  # noqa: ASYNC110 - tests may look and wait
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(1):
            await upstream.connections[0].closed.wait()


async def test_closing_the_wire_ends_every_connection_and_call(asker):
    async with ScriptedUpstream([whole(b"{}")], [stream_head(), chunk(b"x"), Upset.HANG]) as upstream:
        await asker.whole(upstream)
        async with asker.asking(upstream, stream=True) as chunks:
            await anext(chunks)
            await asker.wire(upstream).aclose()
            with pytest.raises(UpstreamBroken):
                await anext(chunks)
        with pytest.raises(UpstreamDown):
            await asker.whole(upstream)
        async with asyncio.timeout(1):
            await upstream.connections[0].closed.wait()
