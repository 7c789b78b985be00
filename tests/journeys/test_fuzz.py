"""Whatever is sent, the answer is a good one or an honest refusal in the words of its surface; never a bug."""

import asyncio
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeys._asking import PATHS, SURFACES, ask, check_words
from journeys._caller import Cut, connected, request
from journeys._service import ADMIN, serving
from journeys._upstreams import KINDS, said

CONFIG = """
[server]
head_timeout = "1 s"
body_timeout = "1 s"
[access]
anonymous = true
[tiers.anonymous]
requests = "unlimited"
requests_per_address = "unlimited"
models = ["*"]
[models.parrot]
targets = ["echo/echo"]
[models.briefed]
targets = ["echo/echo"]
system_prompt = "Be brief."
[providers.echo]
"""
FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    for kind in KINDS:
        upstreams.model(said(kind, streamed=False), name=f"fuzz-{kind}")
    async with serving(tmp_path_factory.mktemp("fuzz"), CONFIG + upstreams.config) as service:
        yield service
        assert not re.search(r"error +bug|Traceback", service.log), service.log[-20_000:]


RICH = {
    "simple": ask("simple", "parrot", system_prompt="x", temperature=1, max_tokens=5, stream=False),
    "openai": ask(
        "openai",
        "parrot",
        temperature=1,
        max_tokens=5,
        stop=["x"],
        tools=[{"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "clock"}},
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        stream_options={"include_usage": True},
        metadata={"a": "b"},
    ),
    "anthropic": ask(
        "anthropic",
        "parrot",
        temperature=1,
        stop_sequences=["x"],
        system=[{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
        tools=[{"name": "clock", "input_schema": {"type": "object"}}],
        tool_choice={"type": "tool", "name": "clock"},
        thinking={"type": "enabled", "budget_tokens": 1024},
        metadata={"user_id": "x"},
    ),
}
RICH["openai"]["messages"] += [
    {"role": "developer", "content": [{"type": "text", "text": "x"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
    {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c", "content": "noon"},
]
RICH["anthropic"]["messages"] += [
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "x"}]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "clock", "input": {}}]},
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "noon"}]}],
    },
    {
        "role": "user",
        "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}],
    },
    {
        "role": "user",
        "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}],
    },
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["", "text", "image", "user", "tool", "auto", "parrot", "echo/x", "a\r\nb: c", "\ud800", "\x00", "x" * 5000]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(value, path=()):
    """Every path in a JSON value."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


@st.composite
def bodies(draw, surface):
    """A rich request with a few of its values replaced, taken away or added to."""
    body = json.loads(
        json.dumps({**RICH[surface], "model": draw(st.sampled_from(MODELS)), "stream": draw(st.booleans())})
    )
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([place for place in places(body) if place]))
        at = body
        for key in path[:-1]:
            at = at[key]
        if draw(st.booleans()):
            at[path[-1]] = draw(values)
        elif isinstance(at, dict):
            at[draw(st.text(max_size=5))] = at.pop(path[-1])
    return json.dumps(body).encode()


MODELS = ["parrot", "briefed", *(f"{kind}/fuzz-{kind}" for kind in KINDS)]


async def check(service, surface: str, body: bytes) -> None:
    answer = await service.post(PATHS[surface], body)
    assert answer.complete
    assert answer.headers["x-request-id"]
    if answer.status != 200:
        # What an upstream that answers without a stream is asked to stream is its own fault.
        assert answer.status in {400, 403, 404, 422, 502}, answer
        check_words(surface, answer.json)
        assert b"something went wrong" not in answer.body


def several(of):
    return st.lists(of, min_size=6, max_size=6)


@pytest.mark.anyio
@FUZZ
@given(st.sampled_from(SURFACES).flatmap(lambda surface: st.tuples(st.just(surface), several(bodies(surface)))))
async def test_bodies_that_are_nearly_right(service, case):
    surface, nearly = case
    await asyncio.gather(*(check(service, surface, body) for body in nearly))


@pytest.mark.anyio
@FUZZ
@given(st.sampled_from(SURFACES), several(st.binary(max_size=60)))
async def test_bytes_of_any_kind(service, surface, some):
    good = json.dumps(RICH[surface]).encode()
    mixed = [good[: len(each) * 7] + each + good[len(each) * 9 :] for each in some]
    await asyncio.gather(*(check(service, surface, body) for body in (*some, *mixed)))


async def send(service, raw: bytes) -> None:
    async with connected(service.port) as line:
        await line.send(raw)
        try:
            async with asyncio.timeout(10):
                answer = await line.answer(bodiless=raw.startswith(b"HEAD"))
        except Cut:
            return
        assert answer.status != 500, (raw, answer)
        assert answer.headers["x-request-id"]


PATHS_THERE = ["/", "/me", "/usage", "/v1/models", "/v1/models/", "/admin/keys", "/admin/entries", "/chat", "/metrics"]
latin = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30)


@pytest.mark.anyio
@FUZZ
@given(
    st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"]),
    st.sampled_from(PATHS_THERE),
    latin,
    latin,
    st.dictionaries(st.sampled_from(["since", "until", "by", "limit", "prefix", "user"]), latin, max_size=3),
)
async def test_requests_of_any_kind(service, method, path, more, header, query):
    """Lines, heads and queries of any bytes: an answer, or the end of the connection; never a 500."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    raw = [
        f"{method} {path}{more} HTTP/1.1\r\nHost: h\r\n\r\n".encode("latin-1"),
        f"{method} {path}?{asked} HTTP/1.1\r\nHost: h\r\nX-API-Key: {ADMIN}\r\n\r\n".encode("latin-1"),
        request(method, path, None, [("X-Request-Id", header), ("X-API-Key", ADMIN), ("Accept", header)]),
        request(method, path, b"{}", [("Content-Type", header), ("Host", header), ("Authorization", header)]),
    ]
    await asyncio.gather(*(send(service, each) for each in raw))
