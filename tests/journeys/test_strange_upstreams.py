"""Upstreams that are odd and not plainly broken: every answer ends well or visibly badly, never both, never neither."""

import asyncio
import gzip
import json
import time
import zlib

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head, whole
from journeys._asking import PATHS, SURFACES, ask, check_broken, check_error, check_good
from journeys._service import serving
from journeys._upstreams import KINDS, answer, data, frames

KEY = "key-of-ann"
BOMB = b" " * 30_000_000


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    clocks = 'timeout = { total = "1500 ms" }\n'
    impatient = "".join(f'[models.thinks-{s}]\ntargets = ["openai/thinks-{s}"]\n{clocks}' for s in SURFACES)
    config = f'[access]\napi_keys = "{KEY}:ann:open"\n[tiers.open]\n{upstreams.config}{impatient}'
    async with serving(tmp_path_factory.mktemp("strange"), config) as service:
        yield service


def words(kind: str, *more, end: bool = False) -> list:
    """A stream that says its words, ends well if it is told to, and then goes on."""
    return [stream_head(), *map(chunk, frames(kind, "Hello", " there", end=end)), 0.02, *more]


def zipped(kind: str, *more: bytes) -> list:
    """The same, compressed, each part as it comes."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [b"".join(frames(kind, "Hello", " there", end=not more)), *more]
    packed = [chunk(pack.compress(part) + pack.flush(zlib.Z_SYNC_FLUSH)) for part in parts]
    return [stream_head({"content-encoding": "gzip"}), packed[0], 0.02, *packed[1:], chunk(pack.flush()), LAST_CHUNK]


def sized(kind: str, difference: int, *more) -> list:
    """A whole stream whose length is told wrong by so much."""
    body = b"".join(frames(kind, "Hello", " there"))
    return [
        whole(body, 200, {"content-type": "text/event-stream", "content-length": str(len(body) + difference)}),
        *more,
    ]


def half_a_pair(kind: str) -> list:
    """An emoji of which half is missing, as a server writes it that cuts texts by UTF-16 units."""
    said = b"".join(frames(kind, "Hello", " there"))
    return [stream_head(), chunk(said.replace(b" there", b" there\\ud83d")), LAST_CHUNK]


GOOD, BROKEN, EITHER, REFUSED = "good", "broken", "either", "refused"

# name: (script of a kind, how its stream ends)
STREAMS = {
    "not a number": (lambda kind: words(kind, chunk(b'data: {"x": NaN}\n\n'), LAST_CHUNK), BROKEN),
    "infinity": (lambda kind: words(kind, chunk(b'data: {"x": -Infinity}\n\n'), LAST_CHUNK), BROKEN),
    "half a surrogate pair": (half_a_pair, GOOD),
    "words after the end": (
        lambda kind: words(kind, *map(chunk, frames(kind, "!", end=False)), LAST_CHUNK, end=True),
        EITHER,
    ),
    "twice the same": (
        lambda kind: words(kind, *map(chunk, frames(kind, "Hello", " there")), LAST_CHUNK, end=True),
        EITHER,
    ),
    "an error after the end": (
        lambda kind: words(kind, chunk(data({"error": {"message": "late", "code": 500}})), LAST_CHUNK, end=True),
        EITHER,
    ),
    "reset after the end": (lambda kind: words(kind, Upset.RESET, end=True), EITHER),
    "closed after the end": (lambda kind: words(kind, Upset.CLOSE, end=True), EITHER),
    "junk after the end": (lambda kind: words(kind, chunk(b"data: {junk\n\n"), LAST_CHUNK, end=True), EITHER),
    "not HTTP after the end": (lambda kind: words(kind, b"zz\r\n\r\n", end=True), EITHER),
    "a chunk shorter than it says": (lambda kind: words(kind, b"ff\r\ndata: {}\r\n0\r\n\r\n", Upset.CLOSE), BROKEN),
    "a chunk of a negative size": (lambda kind: words(kind, b"-5\r\nhello\r\n", LAST_CHUNK), BROKEN),
    "a chunk of an endless size": (lambda kind: words(kind, b"f" * 40 + b"\r\nhello\r\n", LAST_CHUNK), BROKEN),
    "endless extensions of a chunk": (lambda kind: words(kind, b"5;" + b"a=b;" * 20_000), BROKEN),
    "endless trailers": (lambda kind: words(kind, b"0\r\n" + b"X: y\r\n" * 20_000), BROKEN),
    "longer than it says": (lambda kind: sized(kind, -30), EITHER),
    "shorter than it says": (lambda kind: sized(kind, 30, Upset.CLOSE), EITHER),
    "compressed": (zipped, GOOD),
    "a bomb at once": (
        lambda _: [stream_head({"content-encoding": "gzip"}), chunk(gzip.compress(BOMB, 9)), LAST_CHUNK],
        REFUSED,
    ),
    "a bomb after words": (lambda kind: zipped(kind, BOMB), BROKEN),
    "a bomb of comments": (lambda kind: zipped(kind, b": hello\n\n" * 3_000_000), BROKEN),
    "compressed, cut": (lambda kind: [*zipped(kind, b": \n\n")[:-2], LAST_CHUNK], BROKEN),
}


def outcome(surface: str, got) -> str:
    """How a stream ended, which must be one way and not another."""
    said = got.text
    ends = sum(said.count(mark) for mark in ("data: [DONE]", '"type":"message_stop"', "event: done"))
    failed = '"error"' in said.replace(" ", "") or "event: error" in said
    assert ends <= 2 - (surface != "simple"), got  # the simple surface marks its end twice
    assert bool(ends) is not failed, got
    assert failed or "[DONE]" in got.frames[-1][1] or got.frames[-1][0] == "message_stop", got
    return BROKEN if failed else GOOD


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_strange_stream_ends_one_way_and_not_another(service, upstreams, kind):
    async def check(surface, name, script, wanted):
        model = upstreams.model(script(kind))
        begun = time.monotonic()
        got = await service.post(PATHS[surface], ask(surface, f"{kind}/{model}", stream=True), key=KEY)
        try:
            assert time.monotonic() - begun < 10
            if wanted == REFUSED:
                check_error(surface, got, 502, "upstream_error")
                return
            assert got.complete
            found = outcome(surface, got)
            assert wanted in {found, EITHER}, got
            assert got.words.startswith("Hello there"), got
            if wanted == BROKEN:
                check_broken(surface, got)
            elif wanted == GOOD and name != "half a surrogate pair":
                check_good(surface, got)
            assert len(upstreams.requests(model)) == 1
            assert (await service.entry(got))["status"] == ("ok" if found == GOOD else "partial")
        except AssertionError as problem:
            raise AssertionError(f"{name}, {surface}: {problem}") from None

    limit = asyncio.Semaphore(8)

    async def some(*case):
        async with limit:
            try:
                await check(*case)
            except AssertionError as problem:
                problems.append(str(problem))

    problems = []
    await asyncio.gather(*(some(surface, name, *case) for surface in SURFACES for name, case in STREAMS.items()))
    assert not problems, "\n".join(problems)
    assert "bug" not in service.log


def spelled(kind: str, change) -> list:
    return [whole(change(json.dumps(answer(kind)).encode()))]


# name: (what becomes of a good body, the status)
BODIES = {
    "not a number": (lambda body: body.replace(b": 7", b": NaN"), {502}),
    "half a surrogate pair": (lambda body: body.replace(b" there", b" there\\ud83d"), {200}),
    "not UTF-8": (lambda body: body.replace(b" there", b" \xff\xfe"), {502}),
    "a key twice": (lambda body: b'{"id": "a", ' + body[1:], {200, 502}),
    "two bodies": (lambda body: body + body, {502}),
    "words behind it": (lambda body: body + b" and more", {502}),
    "blanks around it": (lambda body: b"\n " + body + b"\r\n\n", {200}),
    "a mark before it": (lambda body: b"\xef\xbb\xbf" + body, {200, 502}),
    "UTF-16": (lambda body: body.decode().encode("utf-16"), {502}),
    "deep": (lambda body: body[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {200, 502}),
    "an endless number": (lambda body: body.replace(b": 7", b": " + b"7" * 5000), {200, 502}),
    "words in place of numbers": (lambda body: body.replace(b": 7", b': "seven"'), {200, 502}),
    "a stream": (lambda body: b"data: " + body + b"\n\n", {502}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_strange_body_is_an_answer_or_an_honest_error(service, upstreams, kind):
    async def check(surface, name, change, statuses):
        model = upstreams.model(spelled(kind, change))
        got = await service.post(PATHS[surface], ask(surface, f"{kind}/{model}"), key=KEY)
        try:
            assert got.status in statuses, got
            if got.status == 502:
                check_error(surface, got, 502, "upstream_error")
            tries = (await service.entry(got))["tries"]  # those beside it may have used up the budget for more
            assert len(upstreams.requests(model)) == tries
            assert 1 <= tries <= (1 if got.status == 200 else 3)
            assert (await service.entry(got))["status"] == ("ok" if got.status == 200 else "failed")
        except AssertionError as problem:
            raise AssertionError(f"{name}, {surface}: {problem}") from None

    await asyncio.gather(*(check(surface, name, *case) for surface in SURFACES for name, case in BODIES.items()))
    assert "bug" not in service.log


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_thoughts_without_end_are_ended_by_the_clock(service, upstreams, surface):
    thought = {"index": 0, "delta": {"reasoning_content": "hm "}, "finish_reason": None}
    step = chunk(data({"id": "c1", "object": "chat.completion.chunk", "model": "gpt", "choices": [thought]}))
    model = upstreams.model([stream_head(), *[step, 0.05] * 1000], name=f"thinks-{surface}")
    begun = time.monotonic()
    got = await service.post(PATHS[surface], ask(surface, model, stream=True), key=KEY)
    check_broken(surface, got, "upstream_timeout")
    assert time.monotonic() - begun < 8
    await upstreams.hung_up(model)
    row = await service.entry(got)
    assert (row["status"], row["error"]) == ("partial", "upstream_timeout")
