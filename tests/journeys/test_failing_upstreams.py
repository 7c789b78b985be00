"""Upstreams that fail before they speak: the right status in time, in neutral words, and no call more than allowed."""

import asyncio
import gzip
import json
import re
import time
from copy import deepcopy
from email.utils import formatdate

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head, whole
from journeys._asking import PATHS, SURFACES, ask, check_error, check_good
from journeys._service import serving
from journeys._upstreams import KINDS, SECRET, answer, said

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open"
[tiers.open]
[providers.dead]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
"""
KEY = "key-of-ann"
PAIRS = 30
LANES = 24
COPIES = LANES // 3  # retries have a budget for each provider, of three at least


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    pairs = "".join(
        f'[models.pair{n}]\ntargets = ["openai{n % COPIES}/first{n}", "anthropic/second{n}"]\n' for n in range(PAIRS)
    )
    copies = "".join(re.sub(r"(?<=providers\.)\w+", rf"\g<0>{number}", upstreams.config) for number in range(COPIES))
    async with serving(tmp_path_factory.mktemp("failing"), CONFIG + upstreams.config + copies + pairs) as service:
        yield service


def error(status: int, message: str = "no", headers: dict | None = None, **more) -> list:
    body = {"error": {"message": message, "type": "x", **more}}
    return [whole(json.dumps(body).encode(), status, headers)]


def streamed_text(data: bytes) -> list:
    return [stream_head(), chunk(data), LAST_CHUNK]


def lying(body: bytes, length: int) -> list:
    return [whole(body, 200, {"content-length": str(length)}), Upset.CLOSE]


LEAK = f"Incorrect API key provided: {SECRET}. Org org-a1b2c3d4e5f6. See https://platform.example/account"
BOMB = gzip.compress(b" " * 20_000_000, 9)
SSE = {"content-type": "text/event-stream"}

# name: (script, status, the simple surface's code, calls that the upstream gets)
BEFORE = {
    "reset": ([Upset.RESET], 502, "upstream_error", 3),
    "closed": ([Upset.CLOSE], 502, "upstream_error", 3),
    "cut head": ([b"HTTP/1.1 200 OK\r\nContent-Ty", Upset.CLOSE], 502, "upstream_error", 3),
    "cut head, reset": ([b"HTTP/1.1 200 OK\r\nContent-Ty", Upset.RESET], 502, "upstream_error", 3),
    "not HTTP": ([b"220 mail.example ESMTP\r\n", Upset.CLOSE], 502, "upstream_error", 3),
    "empty": ([whole(b"")], 502, "upstream_error", 3),
    "empty, no type": ([whole(b"", 200, {"content-type": ""})], 502, "upstream_error", 3),
    "no content": ([b"HTTP/1.1 204 No Content\r\n\r\n"], 502, "upstream_error", 3),
    "HTML": ([whole(b"<html>Sign in</html>", 200, {"content-type": "text/html"})], 502, "upstream_error", 3),
    "HTML as JSON": ([whole(b"<html>Sign in</html>")], 502, "upstream_error", 3),
    "HTML as a stream": (streamed_text(b"<html>\n\nSign in</html>\n\n"), 502, "upstream_error", 3),
    "array": ([whole(b"[]")], 502, "upstream_error", 3),
    "null": ([whole(b"null")], 502, "upstream_error", 3),
    "nothing in it": ([whole(b"{}")], 502, "upstream_error", 3),
    "error in 200": (error(200, LEAK, code="server_error"), 502, "upstream_error", 3),
    "error in 200, a word": ([whole(b'{"error": "boom"}')], 502, "upstream_error", 3),
    "empty stream": ([stream_head(), LAST_CHUNK], 502, "upstream_error", 3),
    "only comments": (streamed_text(b": hello\n\n: there\n\n"), 502, "upstream_error", 3),
    "only the end": (streamed_text(b"data: [DONE]\n\n"), 502, "upstream_error", 3),
    "junk frame": (streamed_text(b"data: {nonsense\n\n"), 502, "upstream_error", 3),
    "frame of another kind": (streamed_text(b'data: {"hello": 1}\n\n'), 502, "upstream_error", 3),
    "frame without an object": (streamed_text(b"data: 5\n\n"), 502, "upstream_error", 3),
    "shorter than it says": (lying(b'{"id": "c1"', 5000), 502, "upstream_error", 3),
    "longer than it says": (lying(b'{"id": "c1", "choices": [', 5), 502, "upstream_error", 3),
    "huge header": ([whole(b"{}", 200, {"x": "a" * 40_000})], 502, "upstream_error", 3),
    "headers without end": ([b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 5000], 502, "upstream_error", 3),
    "continues without end": ([b"HTTP/1.1 100 Continue\r\n\r\n" * 500], 502, "upstream_error", 3),
    "another protocol": (
        [b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
        502,
        "upstream_error",
        3,
    ),
    "bomb": ([whole(BOMB, 200, {"content-encoding": "gzip"})], 502, "upstream_error", 3),
    "unknown coding": ([whole(b"{}", 200, {"content-encoding": "br"})], 502, "upstream_error", 3),
    "not gzip": ([whole(b"{}", 200, {"content-encoding": "gzip"})], 502, "upstream_error", 3),
    "redirect": ([whole(b"", 302, {"location": "http://127.0.0.1:1/"})], 502, "upstream_error", 1),
    "permanent redirect": ([whole(b"{}", 308, {"location": "/v1/elsewhere"})], 502, "upstream_error", 1),
    "400": (error(400, "max_tokens is too large"), 400, "upstream_rejected", 1),
    "400 with a secret": (error(400, LEAK), 400, "upstream_rejected", 1),
    "400 with a page": ([whole(b"<html>no</html>", 400, {"content-type": "text/html"})], 400, "upstream_rejected", 1),
    "400, window": (
        error(400, "prompt is too long: 9 tokens > 5", code="context_length_exceeded"),
        400,
        "context_length_exceeded",
        1,
    ),
    "401": (error(401, LEAK), 502, "upstream_auth", 1),
    "402": (error(402, LEAK), 503, "upstream_busy", 1),
    "403": (error(403, LEAK), 502, "upstream_auth", 1),
    "404": (error(404, "no such model"), 404, "not_found", 1),
    "407": (error(407, LEAK), 502, "upstream_auth", 1),
    "408": (error(408), 502, "upstream_error", 3),
    "413": (error(413), 400, "context_length_exceeded", 1),
    "418": (error(418), 400, "upstream_rejected", 1),
    "429": (error(429, LEAK), 503, "upstream_busy", 3),
    "429, money": (error(429, "You exceeded your current quota", code="insufficient_quota"), 503, "upstream_busy", 1),
    "429, later": (error(429, "no", {"retry-after": "7"}), 503, "upstream_busy", 1),
    "500": (error(500, LEAK), 502, "upstream_error", 3),
    "500 with a page": ([whole(b"<html>no</html>", 500, {"content-type": "text/html"})], 502, "upstream_error", 3),
    "500, endless": ([b"HTTP/1.1 500 No\r\n\r\n", *[b"x" * 65_536] * 10], 502, "upstream_error", 3),
    "502": (error(502), 502, "upstream_error", 3),
    "503": (error(503), 503, "upstream_busy", 3),
    "504": (error(504), 502, "upstream_error", 3),
    "529": (error(529), 503, "upstream_busy", 3),
    "status 999": ([b"HTTP/1.1 999 Request denied\r\nContent-Length: 0\r\n\r\n"], 502, "upstream_error", 3),
    "status 600": ([b"HTTP/1.1 600 Hm\r\nContent-Length: 0\r\n\r\n"], 502, "upstream_error", 3),
}


SILENT = ("reset", "closed")  # a pooled connection that ends so after a rest is replaced, without counting as a try


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_upstream_that_fails_is_an_honest_error(service, upstreams, kind, streamed):
    async def check(lane, name, surface, script, status, code, calls):
        model = upstreams.model(script)
        asked_for = f"{kind}{lane % COPIES}/{model}"
        answer = await service.post(PATHS[surface], ask(surface, asked_for, stream=streamed), key=KEY)
        try:
            if code == "upstream_busy" and name.startswith("429") and name != "429, money" and surface != "simple":
                status = 429  # SDKs know an upstream's rate limit as one
            check_error(surface, answer, status, code)
            asked = len(upstreams.requests(model))
            assert asked in {calls, calls + (name in SILENT)}
            assert SECRET not in answer.text
            assert "org-a1b2" not in answer.text
            assert "127.0.0.1" not in answer.text
            assert ("retry-after" in answer.headers) is (status in {429, 503})
        except AssertionError as problem:
            raise AssertionError(f"{name}: {problem}") from None
        return answer.headers["x-request-id"], calls

    async def some(lane):
        return [await check(lane, name, surface, *case) for name, surface, case in cases[lane::LANES]]

    turn = KINDS.index(kind)  # over the three kinds each case meets each surface
    cases = [(name, SURFACES[(turn + at) % 3], case) for at, (name, case) in enumerate(BEFORE.items())]
    done = await asyncio.gather(*(some(lane) for lane in range(LANES)))
    rows = {row["request_id"]: row for row in await service.entries()}
    for request_id, calls in (each for some in done for each in some):
        row = rows[request_id]
        assert row["status"] in {"failed", "refused"}
        assert (row["tries"], row["tokens_in"], row["cost"]) == (calls, 0, None), row


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_an_upstream_that_is_not_there_is_an_honest_error(service, surface):
    for stream in (False, True):
        answer = await service.post(PATHS[surface], ask(surface, f"dead/{surface}", stream=stream), key=KEY)
        check_error(surface, answer, 502, "upstream_error")
        assert (await service.entry(answer))["tries"] >= 2


@pytest.mark.anyio
async def test_a_request_that_failed_is_tried_again_until_it_is_answered(service, upstreams):
    async def check(lane, name, script, calls):
        model = upstreams.model(script, script, said("openai", streamed=False))
        answer = await service.post("/chat", ask("simple", f"openai{lane % COPIES}/{model}"), key=KEY)
        if calls == 3:
            check_good("simple", answer)
            assert (await service.entry(answer))["tries"] == 3 or name in SILENT, name
        else:
            assert answer.status >= 400, name
            assert len(upstreams.requests(model)) == 1, name

    async def some(lane):
        for name, case in cases[lane::LANES]:
            await check(lane, name, case[0], case[3])

    # "longer" leaves a connection at rest that the upstream is about to close
    cases = [(name, case) for name, case in BEFORE.items() if not re.search("stream|frame|only|longer", name)]
    await asyncio.gather(*(some(lane) for lane in range(LANES)))


def in_seconds(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.anyio
async def test_every_spelling_of_retry_after_is_understood(service, upstreams):
    google = {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]}
    spellings = {
        "seconds": error(429, headers={"retry-after": "7"}),
        "fraction": error(429, headers={"retry-after": "6.2"}),
        "with a unit": error(429, headers={"retry-after": "7s"}),
        "date": [lambda _: error(503, headers={"retry-after": in_seconds(7.5)})],
        "milliseconds": error(429, headers={"retry-after-ms": "6100"}),
        "of Azure": error(429, headers={"x-ms-retry-after-ms": "6100"}),
        "milliseconds first": error(429, headers={"retry-after-ms": "6100", "retry-after": "90"}),
        "reset of requests": error(
            429, headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6.5s"}
        ),
        "reset of tokens": error(
            429, headers={"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6500ms"}
        ),
        "in words": error(429, "Rate limit reached. Please try again in 6.5s. Visit us."),
        "of Google": error(429, **google),
    }

    async def check(name, script):
        model = upstreams.model(script)
        begun = time.monotonic()
        answer = await service.post("/chat", ask("simple", f"openai/{model}"), key=KEY)
        check_error("simple", answer, 503, "upstream_busy")
        assert answer.headers["retry-after"] in {"6", "7", "8"}, (name, answer.headers)
        assert len(upstreams.requests(model)) == 1, name
        assert time.monotonic() - begun < 5

    await asyncio.gather(*(check(name, script) for name, script in spellings.items()))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "wait", ["soon", "-5", "nan", "1e400", "99999999999999999999", "", "Thu, 99 Foo 2026", "\xff", "0"]
)
async def test_a_retry_after_that_makes_no_sense_is_no_bug(service, upstreams, wait):
    model = upstreams.model([whole(b"{}", 429, {"retry-after": wait})])
    answer = await service.post("/chat", ask("simple", f"openai/{model}"), key=KEY)
    check_error("simple", answer, 503, "upstream_busy")
    assert 1 <= int(answer.headers["retry-after"]) < 10**9


@pytest.mark.anyio
async def test_a_short_pause_is_waited_for(service, upstreams):
    model = upstreams.model(error(429, headers={"retry-after-ms": "700"}), said("openai", streamed=False))
    begun = time.monotonic()
    check_good("simple", await service.post("/chat", ask("simple", f"openai/{model}"), key=KEY))
    assert time.monotonic() - begun >= 0.7
    assert len(upstreams.requests(model)) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_next_target_answers_what_the_first_cannot(service, upstreams, streamed):
    names = [
        "reset",
        "HTML",
        "error in 200",
        "401",
        "402",
        "404",
        "429",
        "429, later",
        "500",
        "529",
        "413",
        "400, window",
    ]

    async def check(number, name):
        script, _, _, calls = BEFORE[name]
        number += PAIRS // 2 if streamed else 0
        first = upstreams.model(script, name=f"first{number}")
        second = upstreams.model(said("anthropic", streamed=streamed), name=f"second{number}")
        surface = SURFACES[number % 3]
        answer = await service.post(PATHS[surface], ask(surface, f"pair{number}", stream=streamed), key=KEY)
        check_good(surface, answer)
        assert answer.headers["headgate-provider"] == "anthropic"
        row = await service.entry(answer)
        assert (row["model"], row["target"], row["tries"]) == (f"pair{number}", second, calls + 1), name
        assert len(upstreams.requests(second)) == 1, name
        assert len(upstreams.requests(first)) in {calls, calls + (name in SILENT)}, name

    await asyncio.gather(*(check(number, name) for number, name in enumerate(names)))


@pytest.mark.anyio
async def test_what_the_caller_did_wrong_is_not_asked_elsewhere(service, upstreams):
    number = PAIRS - 1
    upstreams.model(error(400), name=f"first{number}")
    second = upstreams.model(said("anthropic", streamed=False), name=f"second{number}")
    answer = await service.post("/chat", ask("simple", f"pair{number}"), key=KEY)
    check_error("simple", answer, 400, "upstream_rejected")
    assert not upstreams.requests(second)


@pytest.mark.anyio
async def test_a_target_that_keeps_failing_is_spared(service, upstreams):
    model = upstreams.model(error(500))
    statuses, asked = [], []
    for _ in range(6):
        answer = await service.post("/chat", ask("simple", f"openai/{model}"), key=KEY)
        statuses.append(answer.status)
        asked.append(len(upstreams.requests(model)))
    assert statuses == [502] * 6
    assert asked[3] < asked[4] == asked[5] <= 15  # five calls, each tried again
    health = (await service.get("/admin/models", key="admin-key-of-these-tests")).json["models"]
    [state] = [target for route in health for target in route["targets"] if target["target"] == f"openai/{model}"]
    assert state["tripped"]
    assert state["last_fault"] == "upstream_error"


@pytest.mark.anyio
async def test_retries_have_a_budget(service, upstreams):
    """Of many calls that fail at once, few are tried again."""
    model = upstreams.model([0.2, *error(429)])
    body = ask("simple", f"openai/{model}")
    answers = await asyncio.gather(*(service.post("/chat", body, key=KEY) for _ in range(40)))
    assert {answer.status for answer in answers} == {503}
    assert len(upstreams.requests(model)) <= 40 + 12


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_answers_of_strange_shapes_are_no_bug(service, upstreams, kind):
    """Each value in a good answer is replaced by one of another type: an answer or an honest error, never a 500."""

    def changed(value, path=()):
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from changed(item, (*path, key))
        for other in (None, 5, -1, "x", True, [], {}, [5], {"x": 1}, 1e300, [[]]):
            yield path, other

    def with_change(path, other):
        body = deepcopy(answer(kind))
        at = body
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = other
        return json.dumps(body).encode()

    limit = asyncio.Semaphore(20)

    async def check(surface, path, other):
        async with limit:
            body = with_change(path, other)
            model = upstreams.model([whole(body)])
            got = await service.post(PATHS[surface], ask(surface, f"{kind}/{model}"), key=KEY)
            assert got.status in {200, 502}, (surface, path, other, got)
            assert got.json

    cases = [(path, other) for path, other in changed(answer(kind)) if path]
    await asyncio.gather(
        *(check(surface, *case) for number, case in enumerate(cases) for surface in SURFACES[number % 3 :][:1])
    )


@pytest.mark.anyio
async def test_a_target_that_is_spared_fails_as_it_did(service, upstreams):
    model = upstreams.model(error(429, headers={"retry-after": "7"}))
    for _ in range(7):
        answer = await service.post(PATHS["openai"], ask("openai", f"openai/{model}"), key=KEY)
        check_error("openai", answer, 429)
        assert int(answer.headers["retry-after"]) >= 1
    assert len(upstreams.requests(model)) == 5


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("mid_stream", [False, True])
async def test_our_own_key_is_told_to_nobody_whatever_it_looks_like(upstreams, tmp_path, surface, mid_stream):
    quoting = "the token my-own-token and the header plainly-said are unknown"
    mine = f"""
[providers.mine]
kind = "openai"
api_key = "my-own-token"
headers = {{ x-team = "plainly-said" }}
base_url = "{upstreams.server.url}/v1"
"""
    said_so = json.dumps({"error": {"message": quoting, "type": "invalid_request_error"}}).encode()
    first = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    streamed = [stream_head(), chunk(first), chunk(b"data: " + said_so + b"\n\n"), LAST_CHUNK]
    model = upstreams.model(streamed if mid_stream else [whole(said_so, 400)])
    async with serving(tmp_path, CONFIG + mine) as service:
        body = ask(surface, f"mine/{model}", stream=mid_stream)
        got = await service.post(PATHS[surface], body, key=KEY)
    assert "are unknown" in got.text
    assert "my-own-token" not in got.text
    assert "plainly-said" not in got.text
