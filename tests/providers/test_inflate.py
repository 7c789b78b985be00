"""Compressed answers, whole, cut, and as bombs."""

import asyncio
import gzip
import itertools
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.core.call import Clocks
from headgate.core.faults import UpstreamBroken
from headgate.core.seams import Answered, Ask
from headgate.providers._bounds import BOUNDS, Bounds
from headgate.providers._inflate import PIECE, Inflate
from headgate.providers._wire import HttpWire
from headgate.testing import LAST_CHUNK, ScriptedUpstream, chunk, stream_head, whole

TEXT = b"".join(b"data: %d\n\n" % n for n in range(20_000))


def bare(data):
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


CODINGS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "GZIP ": gzip.compress, "deflate": zlib.compress}


@pytest.mark.anyio
@pytest.mark.parametrize(("coding", "squeeze"), [*CODINGS.items(), ("deflate", bare)])
async def test_compressed_answers_are_opened(asker, coding, squeeze):
    async with ScriptedUpstream([whole(squeeze(TEXT), headers={"content-encoding": coding})]) as upstream:
        pieces = await asker.pieces(upstream)
        assert b"".join(pieces) == TEXT
        assert max(map(len, pieces)) <= PIECE


@pytest.mark.anyio
@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_an_answer_may_say_that_it_is_not_compressed(asker, coding):
    async with ScriptedUpstream([whole(b"{}", headers={"content-encoding": coding})]) as upstream:
        assert await asker.whole(upstream) == b"{}"


@pytest.mark.anyio
async def test_a_compressed_stream_is_opened_as_it_comes(asker):
    squeezer = zlib.compressobj(wbits=31)
    first = squeezer.compress(b"data: 1\n\n") + squeezer.flush(zlib.Z_SYNC_FLUSH)
    second = squeezer.compress(b"data: 2\n\n") + squeezer.flush()
    head = stream_head({"content-encoding": "gzip"})
    async with ScriptedUpstream([head, chunk(first), 0.1, chunk(second), LAST_CHUNK]) as upstream:
        assert await asker.pieces(upstream, stream=True) == [b"data: 1\n\n", b"data: 2\n\n"]


@pytest.mark.anyio
@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip"])
async def test_a_coding_that_was_not_asked_for_is_broken(asker, coding):
    async with ScriptedUpstream([whole(b"{}", headers={"content-encoding": coding})]) as upstream:
        with pytest.raises(UpstreamBroken, match="compressed"):
            await asker.whole(upstream)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [gzip.compress(TEXT)[:-9], b"{}", gzip.compress(b"{}") + b"{}", gzip.compress(TEXT)[:5]],
    ids=["cut", "plain", "more", "only a head"],
)
async def test_a_compressed_answer_that_is_cut_or_none_is_broken(asker, body):
    async with ScriptedUpstream([whole(body, headers={"content-encoding": "gzip"})]) as upstream:
        with pytest.raises(UpstreamBroken):
            await asker.whole(upstream)


@pytest.mark.anyio
async def test_a_compressed_error_is_opened_too(asker):
    body = gzip.compress(b'{"error":"busy"}')
    async with ScriptedUpstream([whole(body, 429, {"content-encoding": "gzip"})]) as upstream:
        with pytest.raises(Answered) as caught:
            await asker.whole(upstream)
    assert caught.value.body == b'{"error":"busy"}'


@pytest.mark.anyio
async def test_a_bomb_is_broken_long_before_it_is_open(asker):
    bomb = gzip.compress(bytes(50_000_000))
    async with ScriptedUpstream([whole(bomb, headers={"content-encoding": "gzip"})]) as upstream:
        with pytest.raises(UpstreamBroken, match="out of bounds"):
            await asker.whole(upstream)


def test_the_ratio_and_the_size_are_both_bounded():
    for data, bounds, most in [
        (zlib.compress(bytes(30_000_000)), BOUNDS, 1024 * 1024 + 200 * 30_000),
        (zlib.compress(TEXT), Bounds(body=100_000), 100_000),
    ]:
        inflate = Inflate(b"deflate", bounds)
        pieces = []
        with pytest.raises(UpstreamBroken, match="out of bounds"):
            pieces.extend(itertools.islice(inflate.feed(data), 10_000))
        assert sum(map(len, pieces)) <= most


@settings(max_examples=25, deadline=None)
@given(
    body=st.binary(min_size=1, max_size=300),
    coding=st.sampled_from([None, "gzip", "deflate"]),
    chunks=st.lists(st.integers(1, 60), max_size=8),
    cuts=st.lists(st.integers(0, 700), max_size=12),
)
def test_any_split_of_an_answer_yields_the_same_bytes(body, coding, chunks, cuts):
    sent = CODINGS[coding](body) if coding else body
    edges = [0, *itertools.accumulate(chunks), len(sent)]
    framed = b"".join(chunk(sent[a:b]) for a, b in itertools.pairwise(edges) if sent[a:b])
    answer = stream_head({"content-encoding": coding or "identity"}) + framed + LAST_CHUNK
    splits = [0, *sorted(cuts), len(answer)]

    async def asked():
        steps = ([answer[a:b], 0] for a, b in itertools.pairwise(splits))
        async with ScriptedUpstream(steps) as upstream:
            wire = HttpWire(upstream.url)
            ask = Ask(path="/", body=b"{}", stream=True)
            try:
                return b"".join([piece async for piece in wire.chunks(ask, Clocks(), float("inf"))])
            finally:
                await wire.aclose()

    assert asyncio.run(asked()) == body
