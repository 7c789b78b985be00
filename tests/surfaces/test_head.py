"""A head that comes again is not parsed again, and a request is still what it would have been."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.surfaces.test_connection import App, connected

from headgate.surfaces import connection as connections
from headgate.surfaces.head import head_in

KEY = b"authorization: Bearer hg_one\r\n"
OTHER = b"authorization: Bearer hg_two\r\n"


def request(body=b"{}", *, before=KEY, after=b"", name=b"Content-Length"):
    return b"POST /ask HTTP/1.1\r\nHost: here\r\n%b%b: %d\r\n%b\r\n%b" % (before, name, len(body), after, body)


def parsed(head):
    """What a parser finds in a sound head."""
    lines = [line.partition(b": ") for line in head.split(b"\r\n")[1:] if line]
    return [(name.lower(), value) for name, _, value in lines]


def without_length(headers):
    """Headers, but for what the body tells."""
    return [(name, value) for name, value in headers if name != b"content-length"]


def remembered(data, headers=None):
    headers = parsed(data.partition(b"\r\n\r\n")[0]) if headers is None else headers
    return head_in(data, b"/ask", headers, print)


class Noting(App):
    """Notes what each request was: its headers, the very list of them too, and its body."""

    def __init__(self):
        super().__init__()
        self.requests = []

    async def handle(self, direct):
        self.requests.append((direct.headers, direct.body))
        await super().handle(direct)


async def asked(requests):
    """What a connection makes of requests: each is sent in pieces, once the one before is answered."""
    app = Noting()
    async with connected(app) as (reader, writer, _), asyncio.timeout(10):
        for pieces in requests:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.001 if piece is not pieces[-1] else 0)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(2) == b"{}"
    return app.requests


@pytest.mark.anyio
async def test_a_head_that_comes_again_is_not_parsed_again_whatever_the_length_of_the_body():
    bodies = [b"{}", b'{"a": "much longer than before"}', b"", b"{}"]
    requests = await asked([[request(body)] for body in bodies])
    assert [body for _, body in requests] == bodies
    assert all(one[0] is other[0] for one, other in pairwise(requests[1:]))


@pytest.mark.anyio
async def test_another_credential_of_the_same_length_is_another_head():
    requests = await asked([[request()], [request()], [request(before=OTHER)], [request(before=OTHER)]])
    told = [dict(headers)[b"authorization"] for headers, _ in requests]
    assert told == [b"Bearer hg_one", b"Bearer hg_one", b"Bearer hg_two", b"Bearer hg_two"]


@pytest.mark.anyio
async def test_a_client_whose_heads_all_differ_is_not_learned_from_for_ever(monkeypatch):
    learned = []
    monkeypatch.setattr(connections, "head_in", lambda *args: learned.append(args))
    numbers = [b"x-request-id: %d\r\n" % number for number in range(3 * connections.LESSONS)]
    assert len(await asked([[request(before=number)] for number in numbers])) == len(numbers)
    assert len(learned) == connections.LESSONS


HEADS = st.sampled_from(
    [
        {},
        {"before": OTHER},
        {"after": KEY, "before": b""},
        {"name": b"content-length"},
        {"before": b"X-Content-Length: 99\r\n" + KEY},
        {"before": b"x-note: content-length: 7\r\n"},
    ]
)
BODIES = st.sampled_from([b"", b"{}", b'{"a":1}', b"\r\n\r\n", request(), b"a" * 1000])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(HEADS, BODIES, st.sets(st.integers(1, 300), max_size=4)), min_size=2, max_size=6))
def test_requests_are_the_same_as_without_memory_however_they_are_cut(asks):
    each = [request(body, **head) for head, body, _ in asks]
    cut = [
        sorted({0, len(one), *(at for at in ats if at < len(one))}) for one, (*_, ats) in zip(each, asks, strict=True)
    ]
    pieces = [[one[begin:end] for begin, end in pairwise(ats)] for one, ats in zip(each, cut, strict=True)]
    requests = asyncio.run(asked(pieces))
    assert [body for _, body in requests] == [body for _, body, _ in asks]
    for one, (headers, _) in zip(each, requests, strict=True):
        assert without_length(headers) == without_length(parsed(one.partition(b"\r\n\r\n")[0]))


@pytest.mark.anyio
async def test_what_comes_with_the_end_of_a_known_request_is_the_next_one():
    following = request(b'{"b": 2}')
    requests = await asked([[request()], [request()], [request(b'{"a":1}') + following[:30]], [following[30:]]])
    assert [body for _, body in requests] == [b"{}", b"{}", b'{"a":1}', b'{"b": 2}']


SOUND = b"POST /ask HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\nx: y\r\n\r\n"


def test_a_sound_head_is_known_by_all_but_the_length_of_its_body():
    head = remembered(SOUND + b"{}")
    assert head.body_in(SOUND + b"{}") == (2, b"{}")
    longer = SOUND.replace(b": 2", b": 2048")
    assert head.body_in(longer) == (2048, b"")
    for length in (b"", b"-2", b"+2", b" 2", b"2 ", b"0x2", b"1_0", b"9999999", b"2, 2", b"\xb2", "٢".encode()):
        assert head.body_in(SOUND.replace(b": 2", b": " + length)) == (-1, b""), length
    for cut in range(len(SOUND)):
        assert head.body_in(SOUND[:cut]) == (-1, b"")
        changed = SOUND[:cut] + b"z" + SOUND[cut + 1 :]
        assert head.body_in(changed) == (-1, b""), changed


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"POST /ask HTTP/1.1\r\ncontent-length: 2\n\nbody\r\n\r\n", [(b"content-length", b"2")]),
        (b"POST /ask HTTP/1.1\ncontent-length: 2\r\nx: y\r\n\r\n", [(b"content-length", b"2"), (b"x", b"y")]),
        (b"POST /ask HTTP/1.1\r\ncontent-length: 2\r\n x: folded\r\n\r\n", [(b"content-length", b"2 x: folded")]),
        (b"\r\nPOST /ask HTTP/1.1\r\ncontent-length: 2\r\n\r\n", [(b"content-length", b"2")]),
        (b"POST /ask HTTP/1.1\r\ncontent-length: 2 \r\n\r\n", [(b"content-length", b"2")]),
        (b"POST /ask HTTP/1.1\r\ncontent-length: 2\r\nx: y\r\n", [(b"content-length", b"2"), (b"x", b"y")]),
        (b"POST /ask HTTP/1.1\r\nhost: here\r\n\r\n", [(b"host", b"here")]),
    ],
)
def test_a_head_that_is_not_plainly_what_was_parsed_is_not_remembered(data, headers):
    assert remembered(data, headers) is None
