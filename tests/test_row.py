"""Writes that wait are made in their order, once the event loop has run what is ready, and not to the closed."""

import asyncio
import socket

import pytest

from headgate.row import row_here


async def pair():
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    theirs.setblocking(False)
    return transport, theirs


async def heard(theirs):
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(theirs, 100)


@pytest.mark.anyio
async def test_writes_wait_for_what_is_ready_and_keep_their_order():
    transport, theirs = await pair()
    with theirs:
        row, ready = row_here(), []
        asyncio.get_running_loop().call_soon(lambda: ready.append(len(row._waiting)))
        row.write(transport, b"one ")
        row.write(transport, b"two")
        assert await heard(theirs) == b"one two"
        assert ready == [2]
        assert not row._waiting
        row.write(transport, b"three")
        assert await heard(theirs) == b"three"
        transport.close()


@pytest.mark.anyio
async def test_what_waits_can_be_written_at_once_and_is_written_once():
    transport, theirs = await pair()
    with theirs:
        row_here().write(transport, b"one")
        row_here().flush()
        transport.write(b" two")
        row_here().write(transport, b" three")
        await asyncio.sleep(0)
        assert await heard(theirs) == b"one two three"
        transport.close()


@pytest.mark.anyio
async def test_a_closed_transport_is_passed_over_and_the_next_one_is_not():
    (closed, their_end), (transport, theirs) = await pair(), await pair()
    with their_end, theirs:
        row_here().write(closed, b"nobody")
        row_here().write(transport, b"somebody")
        closed.abort()
        assert await heard(theirs) == b"somebody"
        assert await heard(their_end) == b""
        transport.close()


@pytest.mark.anyio
async def test_a_write_that_fails_takes_no_other_with_it(caplog):
    (ended, their_end), (transport, theirs) = await pair(), await pair()
    with their_end, theirs:
        ended.write_eof()
        row_here().write(ended, b"too late")
        row_here().write(transport, b"in time")
        assert await heard(theirs) == b"in time"
        assert "a write failed: RuntimeError" in caplog.text
        ended.close()
        transport.close()


def test_each_event_loop_has_its_own():
    async def here():
        row = row_here()
        assert row is row_here()
        return row

    assert asyncio.run(here()) is not asyncio.run(here())
