"""Pieces of a stream that come one by one go straight to their caller, and all else that is owed is done for them."""

import asyncio
import json
import socket
import time

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head
from journeys._asking import PATHS, ask, check_broken, check_good
from journeys._caller import connected, request
from journeys._service import serving
from journeys._upstreams import frames

pytestmark = pytest.mark.anyio

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open"
[tiers.open]
[models.impatient]
targets = ["openai/falls-silent"]
timeout = { idle = "1s" }
"""
PATH = PATHS["openai"]


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("relayed"), CONFIG + upstreams.config) as service:
        yield service


def one_by_one(pieces, pause=0.01):
    return [step for piece in pieces for step in (chunk(piece), pause)]


async def test_a_stream_arrives_as_it_was_said(service, upstreams):
    said = frames("openai", *[f"word{n} " for n in range(50)])
    model = upstreams.model([stream_head(), *one_by_one(said), LAST_CHUNK])
    answer = await service.post(PATH, ask("openai", f"openai/{model}", stream=True), key="key-of-ann")
    check_good("openai", answer, "".join(f"word{n} " for n in range(50)))
    assert answer.body.startswith(b"".join(said[:51]))
    row = await service.entry(answer)
    assert (row["status"], row["tokens_out"], row["estimated"]) == ("ok", 7, False)


async def test_what_no_upstream_counts_is_estimated_by_every_piece(service, upstreams):
    said = frames("openai", *["word "] * 40, end=False)
    model = upstreams.model([stream_head(), *one_by_one(said), Upset.CLOSE])
    answer = await service.post(PATH, ask("openai", f"openai/{model}", stream=True), key="key-of-ann")
    check_broken("openai", answer)
    row = await service.entry(answer)
    assert (row["status"], row["tokens_out"], row["estimated"]) == ("partial", 40, True)


async def test_what_is_more_than_words_comes_between_them_in_its_place(service, upstreams):
    first, second, third, *end = frames("openai", "Hello", " there", " you")
    tool = {"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    choice = {"index": 0, "delta": {"tool_calls": [tool]}, "finish_reason": None}
    called = b"data: " + json.dumps({"id": "c1", "choices": [choice]}).encode() + b"\n\n"
    pieces = [first, second, second[:20], second[20:] + called + b": aside\n", b"\n" + third, third, *end]
    model = upstreams.model([stream_head(), *one_by_one(pieces, 0.03), LAST_CHUNK])
    answer = await service.post(PATH, ask("openai", f"openai/{model}", stream=True), key="key-of-ann")
    check_good("openai", answer, "Hello there there you you")
    chunks = [json.loads(data) for _, data in answer.frames if data != "[DONE]"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [delta.get("content", "call" if "tool_calls" in delta else "") for delta in deltas] == [
        *("Hello", " there", " there", "call", " you", " you", "")
    ]


def read_slowly(port, body):
    """What a caller gets who has little room for it, and takes its time."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        line.connect(("127.0.0.1", port))
        line.sendall(request("POST", PATH, body, {"X-API-Key": "key-of-ann", "Connection": "close"}))
        got = b""
        while piece := line.recv(64 * 1024):
            got += piece
            time.sleep(0.0005)
    return got


async def test_who_reads_slowly_misses_nothing(service, upstreams):
    words = [f"{n:06} " + 2000 * "x" for n in range(2000)]
    model = upstreams.model([stream_head(), *one_by_one(frames("openai", *words), 0), LAST_CHUNK])
    body = json.dumps(ask("openai", f"openai/{model}", stream=True)).encode()
    got = await asyncio.to_thread(read_slowly, service.port, body)
    places = [got.find(b'"%06d ' % n) for n in range(2000)]
    assert -1 not in places
    assert places == sorted(places)
    assert got.count(b"data: ") == 2002
    assert got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_a_silence_after_words_is_still_timed(service, upstreams):
    said = frames("openai", "Hello", " there", " you")
    upstreams.model([stream_head(), *one_by_one(said[:3], 0.6), Upset.HANG], name="falls-silent")
    answer = await service.post(PATH, ask("openai", "impatient", stream=True), key="key-of-ann")
    check_broken("openai", answer)
    assert answer.words == "Hello there you"
    assert (await service.entry(answer))["status"] == "partial"


async def test_who_leaves_between_words_hangs_up_on_the_upstream(service, upstreams):
    said = frames("openai", *["word "] * 1000)
    model = upstreams.model([stream_head(), *one_by_one(said, 0.05), LAST_CHUNK])
    body = json.dumps(ask("openai", f"openai/{model}", stream=True)).encode()
    async with connected(service.port) as line:
        await line.send(request("POST", PATH, body, {"X-API-Key": "key-of-ann"}))
        for _ in range(5):
            await line.reader.readuntil(b"word ")
    await upstreams.hung_up(model)
