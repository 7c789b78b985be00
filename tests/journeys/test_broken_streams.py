"""Streams that break, and upstreams that keep silent: everyone can see it, in time, and nothing looks like an end."""

import asyncio
import json
import re
import socket
import time

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head, whole
from journeys._asking import PATHS, SURFACES, ask, check_broken, check_error, check_good, ended
from journeys._service import serving
from journeys._upstreams import KINDS, SECRET, data, frames, stream

KEY = "key-of-ann"
NAMED = 60


@pytest.fixture(scope="module")
def full():
    """A port whose queue of connections is full: no connection is refused, none is made."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(3)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(listener.getsockname())
    yield listener.getsockname()[1]
    for each in (*waiting, listener):
        each.close()


@pytest.fixture(scope="module")
async def service(upstreams, full, tmp_path_factory):
    clocks = 'timeout = { connect = "400 ms", first_event = "600 ms", idle = "600 ms", total = "1500 ms" }\n'
    impatient = "".join(
        f'[models.{kind}{n}]\ntargets = ["{kind}/{kind}{n}"]\n{clocks}' for kind in (*KINDS, "full") for n in range(NAMED)
    )
    config = f"""
[server]
heartbeat = "250 ms"
[access]
api_keys = "{KEY}:ann:open"
[tiers.open]
[providers.full]
kind = "openai"
base_url = "http://127.0.0.1:{full}/v1"
{upstreams.config}{impatient}"""
    async with serving(tmp_path_factory.mktemp("broken"), config) as service:
        yield service


@pytest.fixture(scope="module")
def names():
    """Names of the models with short clocks, each used once, so that nobody's breaker trips."""
    return {kind: iter([f"{kind}{n}" for n in range(NAMED)]) for kind in (*KINDS, "full")}


def begun(kind: str, *more) -> list:
    """A stream that says two words, and then something else."""
    return [stream_head(), *map(chunk, frames(kind, "Hello", " there", end=False)), 0.02, *more]


def in_band(kind: str) -> bytes:
    message = f"Overloaded, {SECRET} org-a1b2c3d4e5f6"
    if kind == "anthropic":
        return data({"type": "error", "error": {"type": "overloaded_error", "message": message}}, "error")
    return data({"error": {"message": message, "type": "server_error", "code": 503}})


def cut(kind: str) -> bytes:
    return frames(kind, "more")[0 if kind != "anthropic" else 2][:-12]


BREAKS = {
    "error": lambda kind: begun(kind, chunk(in_band(kind)), LAST_CHUNK),
    "error, then the rest": lambda kind: begun(kind, chunk(in_band(kind)), *map(chunk, frames(kind, "!")), LAST_CHUNK),
    "error in one read": lambda kind: begun(kind, chunk(b"".join(frames(kind, "!", end=False)[-1:]) + in_band(kind)), LAST_CHUNK),
    "end without a reason": lambda kind: begun(kind, LAST_CHUNK),
    "mark without a reason": lambda kind: begun(kind, chunk(b"data: [DONE]\n\n"), LAST_CHUNK),
    "closed": lambda kind: begun(kind, Upset.CLOSE),
    "reset": lambda kind: begun(kind, Upset.RESET),
    "cut frame": lambda kind: begun(kind, chunk(cut(kind)), LAST_CHUNK),
    "cut frame, closed": lambda kind: begun(kind, chunk(cut(kind)), Upset.CLOSE),
    "cut chunk": lambda kind: begun(kind, chunk(cut(kind))[:-5], Upset.CLOSE),
    "cut character": lambda kind: begun(kind, chunk(b'data: {"x": "\xe2\x82'), LAST_CHUNK),
    "junk": lambda kind: begun(kind, chunk(b"data: {junk}\n\n"), *map(chunk, frames(kind, "!")), LAST_CHUNK),
    "page": lambda kind: begun(kind, chunk(b"data: <html>Bad gateway</html>\n\n"), LAST_CHUNK),
    "array": lambda kind: begun(kind, chunk(b"data: []\n\n"), LAST_CHUNK),
    "words": lambda kind: begun(kind, chunk(b'data: "hello"\n\n'), LAST_CHUNK),
    "not UTF-8": lambda kind: begun(kind, chunk(b'data: {"x": "\xff\xfe"}\n\n'), LAST_CHUNK),
    "deep": lambda kind: begun(kind, chunk(b"data: " + b"[" * 100_000 + b"\n\n"), LAST_CHUNK),
    "not HTTP": lambda kind: begun(kind, b"zzzz\r\n\r\n"),
    "another answer": lambda kind: begun(kind, whole(b"{}")),
    "endless line": lambda kind: begun(kind, chunk(b"data: "), *[chunk(b"a" * 262_144)] * 70),
}


async def ask_for_stream(service, surface, model):
    return await service.post(PATHS[surface], ask(surface, model, stream=True), key=KEY)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_stream_that_breaks_is_broken_for_all_to_see(service, upstreams, surface, kind):
    async def check(name, script):
        model = upstreams.model(script(kind))
        answer = await ask_for_stream(service, surface, f"{kind}/{model}")
        try:
            assert answer.complete
            check_broken(surface, answer)
            assert answer.words.startswith("Hello there")
            assert SECRET not in answer.text
            assert "org-a1b2" not in answer.text
            assert len(upstreams.requests(model)) == 1
        except AssertionError as problem:
            raise AssertionError(f"{name}: {problem}") from None
        return answer.headers["x-request-id"]

    async def some(cases):
        return [await check(*case) for case in cases]

    cases = list(BREAKS.items())
    done = await asyncio.gather(*(some(cases[at::4]) for at in range(4)))
    rows = {row["request_id"]: row for row in await service.entries()}
    for request_id in (each for some in done for each in some):
        row = rows[request_id]
        assert (row["status"], row["tries"], row["estimated"], row["finish"]) == ("partial", 1, True, "")
        assert row["tokens_out"] >= 2


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_good_stream_may_arrive_in_any_pieces(service, upstreams, kind):
    whole_stream = b"".join(frames(kind, "Hello", " there"))
    crlf = whole_stream.replace(b"\n", b"\r\n")
    shapes = {
        "byte by byte": [chunk(bytes([byte])) for byte in whole_stream],
        "in one": [chunk(whole_stream)],
        "with CRLF": [chunk(piece) for piece in (crlf[:50], crlf[50:51], crlf[51:])],
        "with CR": [chunk(whole_stream.replace(b"\n", b"\r"))],
        "with comments": [chunk(b": hi\n\n"), chunk(whole_stream.replace(b"\n\n", b"\n\n: there\n\n"))],
        "with a BOM": [chunk(b"\xef\xbb\xbf" + whole_stream)],
        "without spaces": [chunk(whole_stream.replace(b"data: ", b"data:"))],
        "without the last line": [chunk(whole_stream.rstrip(b"\n"))],
    }

    async def check(surface, name, pieces):
        model = upstreams.model([stream_head(), *pieces, LAST_CHUNK])
        answer = await ask_for_stream(service, surface, f"{kind}/{model}")
        try:
            check_good(surface, answer)
        except AssertionError as problem:
            raise AssertionError(f"{name}, {surface}: {problem}") from None

    await asyncio.gather(*(check(surface, *shape) for surface in SURFACES for shape in shapes.items()))


SILENT = {
    "no head": [Upset.HANG],
    "half a head": [b"HTTP/1.1 200 OK\r\nContent-", Upset.HANG],
    "drip of a head": [b"HTTP/1.1 200 OK\r\nX: ", *[b"a", 0.1] * 100],
    "drip of continues": [*[b"HTTP/1.1 100 Continue\r\n\r\n", 0.1] * 100],
}
SILENT_WHOLE = {
    "no body": [whole(b"", 200, {"content-length": "500"}), Upset.HANG],
    "half a body": [whole(b'{"id": ', 200, {"content-length": "500"}), Upset.HANG],
    "drip of a body": [whole(b'{"id": "', 200, {"content-length": "5000"}), *[b"a", 0.1] * 100],
}
SILENT_STREAM = {
    "no frame": [stream_head(), Upset.HANG],
    "half a frame": [stream_head(), chunk(b"data: {"), Upset.HANG],
    "drip of a frame": [stream_head(), chunk(b'data: {"id": "'), *[chunk(b"a"), 0.1] * 100],
    "drip of comments": [stream_head(), *[chunk(b": hi\n\n"), 0.1] * 100],
}


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_upstream_that_keeps_silent_is_a_timeout_in_time(service, upstreams, names, kind, streamed):
    async def check(surface, name, script):
        model = upstreams.model(script, name=next(names[kind]))
        begun_at = time.monotonic()
        answer = await service.post(PATHS[surface], ask(surface, model, stream=streamed), key=KEY)
        took = time.monotonic() - begun_at
        try:
            check_error(surface, answer, 504, "upstream_timeout")
            assert 0.5 < took < 4
            assert len(upstreams.requests(model)) == 1
            await upstreams.hung_up(model)
        except AssertionError as problem:
            raise AssertionError(f"{name}, {surface}: {problem}") from None

    cases = {**SILENT, **(SILENT_STREAM if streamed else SILENT_WHOLE)}
    await asyncio.gather(*(check(SURFACES[at % 3], *case) for at, case in enumerate(cases.items())))


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_falls_silent_is_broken_in_time(service, upstreams, names, kind):
    breaks = {
        "silence": begun(kind, Upset.HANG),
        "drip": begun(kind, chunk(b'data: {"x": "'), *[chunk(b"a"), 0.1] * 100),
        "comments": begun(kind, *[chunk(b": hi\n\n"), 0.1] * 100),
        "words without end": begun(kind, *[chunk(frames(kind, "!", end=False)[-1]), 0.1] * 100),
    }

    async def check(surface, name, script):
        model = upstreams.model(script, name=next(names[kind]))
        begun_at = time.monotonic()
        answer = await ask_for_stream(service, surface, model)
        try:
            check_broken(surface, answer, "upstream_timeout")
            assert time.monotonic() - begun_at < 4
            assert (b": keep-alive" in answer.body) is (name != "words without end")
            await upstreams.hung_up(model)
        except AssertionError as problem:
            raise AssertionError(f"{name}, {surface}: {problem}") from None

    await asyncio.gather(*(check(surface, *case) for surface in SURFACES for case in breaks.items()))


@pytest.mark.anyio
async def test_a_connection_that_is_not_made_is_a_timeout_in_time(service, names):
    async def check(surface, streamed):
        begun_at = time.monotonic()
        answer = await service.post(PATHS[surface], ask(surface, next(names["full"]), stream=streamed), key=KEY)
        check_error(surface, answer, 504, "upstream_timeout")
        assert time.monotonic() - begun_at < 3

    await asyncio.gather(*(check(surface, streamed) for surface in SURFACES for streamed in (False, True)))


@pytest.mark.anyio
async def test_all_attempts_together_have_one_deadline(service, upstreams, names):
    model = upstreams.model([0.5, *[whole(b"{}", 503, {"retry-after-ms": "400"})]], name=next(names["openai"]))
    begun_at = time.monotonic()
    answer = await service.post("/chat", ask("simple", model), key=KEY)
    assert answer.status in {503, 504}
    assert time.monotonic() - begun_at < 2.5
    assert len(upstreams.requests(model)) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_slow_but_sound_stream_is_kept_alive_with_comments(service, upstreams, surface, kind):
    first, *rest = frames(kind, "Hello", " there")
    model = upstreams.model([stream_head(), chunk(first), 0.8, *map(chunk, rest), LAST_CHUNK])
    answer = await ask_for_stream(service, surface, f"{kind}/{model}")
    check_good(surface, answer)
    assert 1 <= answer.body.count(b": keep-alive\n\n") <= 4


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_frame_of_a_strange_shape_breaks_the_stream_and_is_no_bug(service, upstreams, kind):
    def changed(value, path=()):
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from changed(item, (*path, key))
        for other in (None, 5, -1, "x", True, [], {}, [5], 1e300):
            yield path, other

    def with_change(text, path, other):
        event, _, body = text.decode().rstrip().rpartition("data: ")
        if not path or body == "[DONE]":
            return event.encode() + b"data: " + json.dumps(other).encode() + b"\n\n"
        top = at = json.loads(body)
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = other
        return event.encode() + b"data: " + json.dumps(top).encode() + b"\n\n"

    limit = asyncio.Semaphore(20)

    async def check(surface, number, path, other):
        async with limit:
            said = frames(kind, "Hello", " there")
            said[number] = with_change(said[number], path, other)
            model = upstreams.model([stream_head(), *map(chunk, said), LAST_CHUNK])
            answer = await ask_for_stream(service, surface, f"{kind}/{model}")
            assert answer.status in {200, 502}, (surface, number, path, other, answer)
            assert answer.complete, (surface, number, path, other, answer)
            if answer.status == 200:
                name, told = answer.frames[-1]
                assert ended(surface, answer) is ("error" not in json.loads(told) if told != "[DONE]" else True)

    said = frames(kind, "Hello", " there")
    cases = [
        (number, path, other)
        for number, text in enumerate(said)
        for path, other in changed({} if b"[DONE]" in text else json.loads(text.decode().rpartition("data: ")[2]))
    ]
    await asyncio.gather(*(check(SURFACES[at % 3], *case) for at, case in enumerate(cases)))
    assert not re.search(r"error +bug", service.log)
    good = upstreams.model(stream(kind, "Hello", " there"))
    check_good("simple", await ask_for_stream(service, "simple", f"{kind}/{good}"))
