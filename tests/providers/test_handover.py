"""From a thread to a task: in order, no more than there is room for, and no thread waits for ever."""

import asyncio
from time import monotonic

import pytest

from headgate.core.faults import UpstreamTimeout
from headgate.providers._handover import Handover

pytestmark = pytest.mark.anyio


def fill(said, count):
    """In a thread: hand over numbers; how many were taken on."""
    for number in range(count):
        if not said.put(number):
            return number
    return count


async def test_items_come_in_order_whatever_the_room():
    for room in (1, 3, 1000):
        said = Handover(room, monotonic() + 60)
        work = asyncio.create_task(asyncio.to_thread(fill, said, 200))
        assert [await said.get() for _ in range(200)] == list(range(200))
        assert await work == 200


async def test_the_thread_waits_for_room():
    said = Handover(5, monotonic() + 60)
    work = asyncio.create_task(asyncio.to_thread(fill, said, 50))
    while len(said._items) < 5:  # noqa: ASYNC110 - a thread fills it
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    assert len(said._items) == 5
    assert not work.done()
    assert [await said.get() for _ in range(50)] == list(range(50))
    await work


async def test_a_thread_that_waits_for_room_hears_that_nobody_listens():
    said = Handover(5, monotonic() + 60)
    work = asyncio.create_task(asyncio.to_thread(fill, said, 50))
    while len(said._items) < 5:  # noqa: ASYNC110 - a thread fills it
        await asyncio.sleep(0.001)
    said.close()
    assert await work == 5
    assert not said.put(1)


async def test_a_thread_gives_up_on_a_taker_that_is_too_slow():
    said = Handover(2, monotonic() + 0.02)
    assert await asyncio.to_thread(fill, said, 50) == 2
    assert [await said.get(), await said.get()] == [0, 1]
    with pytest.raises(UpstreamTimeout):
        await said.get()
