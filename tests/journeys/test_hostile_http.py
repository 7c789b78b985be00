"""Callers whose HTTP is slow, huge, old or wrong: an answer in time, with an id, and the service lives on."""

import asyncio
import json
import time

import pytest

from journeys._asking import PATHS, SURFACES, ask, check_error, check_good
from journeys._caller import connected, request, statuses
from journeys._service import ADMIN, serving

CONFIG = """
[server]
max_body = "200 KiB"
head_timeout = "1 s"
body_timeout = "1 s"
[access]
anonymous = true
api_keys = "key-of-ann:ann:open"
[models.parrot]
targets = ["echo/echo"]
[providers.echo]
[tiers.open]
[tiers.anonymous]
requests = "unlimited"
requests_per_address = "unlimited"
"""
KEY = "key-of-ann"
CHAT = json.dumps(ask("simple", "parrot")).encode()
OVER = 200 * 1024 + 1


@pytest.fixture(scope="module")
async def service(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("http"), CONFIG) as service:
        yield service


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/ready",
        "/nothing",
        "/v1/nothing",
        "/v1/models",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/admin/keys",
        "/me",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "POST"])
async def test_every_response_has_an_id(service, method, path):
    answer = await service.call(method, path)
    assert answer.headers["x-request-id"].startswith("req_")
    assert [name for name, _ in answer.fields].count("x-request-id") == 1
    echoed = await service.call(method, path, headers={"X-Request-Id": "Trace:1.a/b=c"})
    assert echoed.headers["x-request-id"] == "Trace:1.a/b=c"
    for insane in ("x" * 129, "a b", "<script>", "a;b", "\xe9", ""):
        answer = await service.call(method, path, headers={"X-Request-Id": insane})
        assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_an_answer_and_its_ledger_row_have_the_callers_id(service, surface):
    for number, stream in enumerate((False, True)):
        mine = f"mine-{surface}-{number}"
        answer = await service.post(
            PATHS[surface], ask(surface, "parrot", stream=stream), headers={"X-Request-Id": mine}
        )
        assert answer.headers["x-request-id"] == mine
        assert (await service.entry(mine))["status"] == "ok"
    wrong = await service.post(PATHS[surface], b"{", headers={"X-Request-Id": f"wrong-{surface}"})
    check_error(surface, wrong, 400)
    assert wrong.headers["x-request-id"] == f"wrong-{surface}"


@pytest.mark.anyio
async def test_an_unknown_path_is_not_found_in_the_words_of_its_surface(service):
    for path, surface in {
        "/nothing": "simple",
        "/v1/nothing": "openai",
        "/v1/messages/x": "anthropic",
        "/chat/": "simple",
        "//evil.example/": "simple",
        "/%2e%2e/": "simple",
        "/%00": "simple",
        "/%ff%fe": "simple",
    }.items():
        answer = await service.get(path)
        check_error(surface, answer, 404, "not_found")
        assert "location" not in answer.headers


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_wrong_method_is_405(service, surface, method):
    answer = await service.call(method, PATHS[surface])
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    if method != "HEAD":
        check_error(surface, answer, 405)


@pytest.mark.anyio
async def test_head_is_get_without_the_body(service):
    for path in ("/", "/health", "/ready", "/v1/models"):
        got, head = await service.get(path), await service.call("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.anyio
async def test_hosts_that_are_none_are_no_bug(service):
    for host in ("[::1", "a b", "evil.example/x", "\xff", "", "x" * 5000, "user:pass@h"):
        for path, status in {"/health": 200, "/nothing": 404, "/v1/models": 200}.items():
            assert (await service.get(path, headers={"Host": host})).status == status


@pytest.mark.anyio
@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA B: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n folded: x\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /chat HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST /chat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    ],
)
async def test_what_is_not_http_is_refused_and_the_connection_closed(service, raw):
    async with connected(service.port) as line:
        await line.send(raw)
        answer = await line.answer()
        assert answer.status == 400
        assert answer.headers["x-request-id"]
        assert answer.headers["connection"] == "close"
        assert answer.json["error_code"]
        assert await line.closed()
    assert (await service.get("/health")).status == 200


@pytest.mark.anyio
async def test_odd_targets_are_no_bug(service):
    for raw in (
        b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://h/health HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /health?" + b"%" * 1000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    ):
        async with connected(service.port) as line:
            await line.send(raw)
            assert (await line.answer()).status in {200, 400, 404, 405}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: h\r\n" + b"X: a\r\n" * 300 + b"\r\n",
        b"GET /health HTTP/1.1\r\nHost: h\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 3_000_000,
        b"POST /chat HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\nX: " + b"a" * 70_000 + b"\r\n\r\n" + b"b" * 70_000,
    ],
)
async def test_a_head_that_is_too_large_is_431(service, head):
    async with connected(service.port) as line:
        await line.send(head)
        answer = await line.answer()
        check_error("simple", answer, 431, "too_large")
        assert await line.closed()


@pytest.mark.anyio
@pytest.mark.parametrize("size", [OVER, 3_000_000, 40_000_000])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_body_over_the_limit_is_413_and_the_answer_arrives(service, surface, size):
    for framing in ("content-length", "chunked"):
        body = b" " * size
        async with connected(service.port) as line:
            if framing == "chunked":
                await line.send(request("POST", PATHS[surface], b"", {"Transfer-Encoding": "chunked"}))
                body = chunked(body)
            else:
                await line.send(request("POST", PATHS[surface], b"", {"Content-Length": str(size)}))
            await line.send(body)
            answer = await line.answer()
            check_error(surface, answer, 413, "too_large")
            assert answer.headers["connection"] == "close"
            assert await line.closed()
    assert (await service.entry(answer))["error"] == "too_large"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/admin/keys", "/admin/reload", "/nothing", "/health"])
async def test_no_path_takes_an_endless_body(service, path):
    async def pour(line):
        await line.send(request("POST", path, b"", {"Transfer-Encoding": "chunked"}))
        while True:
            await line.send(chunked(b" " * 65_536, end=False))
            await asyncio.sleep(0)  # a send that never waits would leave no time to read

    async with connected(service.port) as line:
        pouring = asyncio.create_task(pour(line))
        try:
            answer = await line.answer()
            assert answer.status in {401, 404, 405, 413}
            assert await line.closed(20)
        finally:
            pouring.cancel()
            await asyncio.wait([pouring])


@pytest.mark.anyio
async def test_a_large_body_for_the_admin_is_413_too(service):
    answer = await service.post("/admin/keys", b'{"name": "' + b"x" * OVER + b'"}', key=ADMIN)
    check_error("simple", answer, 413, "too_large")
    for body in (b"{", b"[]", b'"x"', b"\xff", b'{"name": NaN}', b'{"name": "\\ud800"}', b"[" * 50_000, b""):
        answer = await service.post("/admin/keys", body, key=ADMIN)
        assert answer.status in {400, 422}, (body, answer)


@pytest.mark.anyio
async def test_a_slow_head_ends_in_time(service):
    async def wait(sent: bytes, expected: list[int]):
        async with connected(service.port) as line:
            await line.send(sent)
            async with asyncio.timeout(5):
                assert statuses(await line.reader.read()) == expected

    sent = []

    async def drip():
        async with connected(service.port) as line:
            reading = asyncio.create_task(line.reader.read())
            while not reading.done():
                await line.send(b"GET /health HTTP/1.1\r\nX: " if not sent else b"a")
                sent.append(1)
                await asyncio.sleep(0.1)
            assert statuses(await reading) == [408]

    await asyncio.gather(
        wait(b"", []), wait(b"GET", [408]), wait(b"GET /health HTTP/1.1\r\nHost: h\r\nX:", [408]), drip()
    )


@pytest.mark.anyio
async def test_a_slow_body_ends_in_time(service):
    async def wait(surface: str, fields: dict, begun: bytes):
        head = request("POST", PATHS[surface], b"", fields)
        async with connected(service.port) as line:
            await line.send(head + begun)
            answer = await line.answer(5)
            check_error(surface, answer, 408, "request_timeout")
            assert await line.closed()

    long, pieces = {"Content-Length": "500"}, {"Transfer-Encoding": "chunked"}
    ways = [(long, b'{"mess'), (long, b""), (pieces, chunked(b'{"me', end=False)), (pieces, b"")]
    await asyncio.gather(*(wait(surface, *way) for surface in SURFACES for way in ways))


@pytest.mark.anyio
async def test_a_body_that_arrives_steadily_may_take_longer(service):
    body = json.dumps(ask("simple", "parrot", "x" * 15_000)).encode() + b" " * 100_000
    async with connected(service.port) as line:
        await line.send(request("POST", "/chat", b"", {"Content-Length": str(len(body))}))
        step = len(body) // 25
        for start in range(0, len(body), step):
            await line.send(body[start : start + step])
            await asyncio.sleep(0.1)
        assert (await line.answer()).status == 200


@pytest.mark.anyio
async def test_http_1_0_is_answered_and_closed(service):
    for path, body in {
        "/health": None,
        "/chat": CHAT,
        "/v1/chat/completions": json.dumps(ask("openai", "parrot", stream=True)).encode(),
    }.items():
        async with connected(service.port) as line:
            await line.send(request("GET" if body is None else "POST", path, body, version="1.0"))
            answer = await line.answer()
            assert answer.status == 200
            assert await line.closed()
            assert "transfer-encoding" not in answer.headers  # HTTP/1.0 knows no chunks (RFC 9112, 6.1)
            if answer.headers["content-type"].startswith("text/event-stream"):
                check_good("openai", answer, "You said: Say hello")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_pipelined_requests_are_answered_in_order(service, stream):
    async with connected(service.port) as line:
        bodies = [ask("openai", "parrot", f"number {n}", stream=stream) for n in range(5)]
        await line.send(b"".join(request("POST", PATHS["openai"], json.dumps(body).encode()) for body in bodies))
        for n in range(5):
            check_good("openai", await line.answer(), f"You said: number {n}")
        await line.send(request("GET", "/health") + request("POST", "/chat", CHAT) + request("GET", "/nothing"))
        assert [(await line.answer()).status for _ in range(3)] == [200, 200, 404]


@pytest.mark.anyio
async def test_expect_100_continue_is_answered(service):
    head = request("POST", "/chat", b"", {"Content-Length": str(len(CHAT)), "Expect": "100-continue"})
    async with connected(service.port) as line:
        await line.send(head)
        assert (await line.head()).status == 100
        await line.send(CHAT)
        assert (await line.answer()).status == 200
    async with connected(service.port) as line:  # who may not call is not asked for the body
        await line.send(head.replace(b"\r\n\r\n", b"\r\nX-API-Key: wrong\r\n\r\n"))
        assert (await line.answer()).status == 401


@pytest.mark.anyio
async def test_a_wish_to_upgrade_is_passed_over(service):
    for wish in (
        {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"},
        {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "eA=="},
    ):
        async with connected(service.port) as line:
            await line.send(request("POST", "/chat", CHAT, wish))
            assert (await line.answer()).status == 200
            await line.send(request("GET", "/health"))
            assert (await line.answer()).status == 200


@pytest.mark.anyio
async def test_callers_who_come_and_go_leave_nothing_behind(service):
    async def come_and_go(number: int):
        async with connected(service.port) as line:
            whole = request("POST", "/chat", CHAT)
            await line.send(whole[: number * len(whole) // 60])

    await asyncio.gather(*(come_and_go(number) for number in range(60)))
    begun = time.monotonic()
    assert (await service.get("/health")).status == 200
    assert time.monotonic() - begun < 5
    assert "Traceback" not in service.log
