"""One task answers the requests of a connection on the fast lane, in turn; where many answer, they write together."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvicorn
from uvicorn.server import ServerState

from headgate.core.faults import InvalidField
from headgate.row import row_here
from headgate.surfaces.connection import CROWD, Connection

REQUEST = b"POST /ask HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n{}"


class App:
    """Answers one path on the lane, and remembers in which task; `tail` is what keeps a handler busy afterwards."""

    def __init__(self):
        self.tasks = []
        self.tail = None
        self.before = None
        self.then = lambda connection: None
        self.lane = {(b"POST", b"/ask"): self.handle}

    async def __call__(self, scope, receive, send):
        raise AssertionError("everything here takes the lane")

    async def handle(self, direct):
        self.tasks.append(asyncio.current_task())
        if self.before is not None:
            await self.before.wait()
        await direct.whole(200, b"{}", b"")
        self.then(direct.connection)
        tail, self.tail = self.tail, None
        if tail is not None:
            await tail.wait()


@asynccontextmanager
async def connected(app):
    config = uvicorn.Config(app, http=Connection, lifespan="off", log_config=None)
    config.load()
    config.loaded_app = app
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer, state
        writer.close()


async def answered(reader, writer):
    writer.write(REQUEST)
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(2) == b"{}"


@pytest.mark.anyio
async def test_requests_that_follow_each_other_have_one_task_which_ends_with_the_connection():
    app = App()
    async with connected(app) as (reader, writer, state):
        for _ in range(3):
            await answered(reader, writer)
        assert len(app.tasks) == 3
        assert len(set(app.tasks)) == 1
        await asyncio.sleep(0)
        assert not state.tasks  # a connection at rest keeps nobody from stopping
        assert not app.tasks[0].done()
        writer.close()
        await asyncio.wait_for(app.tasks[0], 5)


@pytest.mark.anyio
async def test_a_request_does_not_wait_for_what_an_earlier_handler_still_does():
    app = App()
    app.tail = tail = asyncio.Event()
    async with connected(app) as (reader, writer, _):
        await answered(reader, writer)
        await answered(reader, writer)
        first, second = app.tasks
        assert first is not second
        tail.set()
        await asyncio.wait_for(first, 5)  # the other one has the connection now
        await answered(reader, writer)
        assert app.tasks[2] is second


@pytest.mark.anyio
async def test_in_a_crowd_answers_are_written_a_moment_later_and_still_in_order():
    app = App()
    async with connected(app) as (reader, writer, state):
        state.tasks |= {object() for _ in range(CROWD)}
        sizes = []
        app.then = lambda connection: sizes.append(len(row_here()._waiting))
        await answered(reader, writer)
        assert sizes == [1]
        app.then = lambda connection: connection.refuse(400, InvalidField("no"))
        await answered(reader, writer)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.anyio
async def test_an_answer_after_a_refusal_takes_no_other_answer_with_it():
    app = App()
    app.before = asyncio.Event()
    async with connected(app) as (reader, writer, state), connected(app) as (other, others, beside):
        state.tasks |= {object() for _ in range(CROWD)}
        beside.tasks |= {object() for _ in range(CROWD)}
        writer.write(REQUEST)
        await writer.drain()
        writer.write(b"nonsense\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)).startswith(b"HTTP/1.1 400 ")
        others.write(REQUEST)
        while len(app.tasks) < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        app.before.set()
        assert (await asyncio.wait_for(other.readuntil(b"\r\n"), 5)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.anyio
async def test_an_answer_that_waits_to_be_written_is_dropped_with_its_client():
    app = App()
    async with connected(app) as (reader, writer, state):
        state.tasks |= {object() for _ in range(CROWD)}
        app.then = lambda connection: connection.transport.abort()
        writer.write(REQUEST)
        assert await reader.read() == b""
