"""Whoever saw the end of an answer is in the ledger exactly once, whatever dies."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from headgate.core.entry import Entry
from headgate.core.faults import Unavailable
from headgate.engine.ledger import MAX_LINE, MAX_TEXT, Ledger, new_id
from headgate.engine.outbox import REJECTED, STEP, recover
from headgate.stores.ledger import LedgerTable
from headgate.stores.sqlite import SqliteDatabase


def entry(**fields):
    return Entry(**{"id": new_id(time.time()), "at": time.time(), "request_id": "r", "model": "m"} | fields)


class Switched:
    """A store that can be made unreachable, in front of a real one."""

    def __init__(self, store):
        self.store = store
        self.down = False
        self.batches = []

    def write(self, entries):
        if self.down:
            raise Unavailable("down")
        self.store.write(entries)
        self.batches.append(len(entries))


@pytest.fixture
def table(tmp_path):
    database = SqliteDatabase(tmp_path / "headgate.db")
    database.migrate()
    yield LedgerTable(database)
    database.close()


@pytest.fixture
def store(table):
    return Switched(table)


@pytest.fixture
def outbox(tmp_path):
    return tmp_path / "outbox"


@pytest.fixture
async def ledger(store, outbox):
    ledger = Ledger(store, outbox, interval=0.01)
    yield ledger
    await ledger.close(0.5)


def ids(table):
    return sorted(e.id for e in table.entries(limit=1_000_000))


async def until(true):
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 what is waited for happens in a thread
            await asyncio.sleep(0.005)


@pytest.mark.anyio
async def test_posted_entries_reach_the_store_by_themselves_and_together(ledger, store, table):
    entries = [entry() for _ in range(100)]
    assert all(ledger.post(e) for e in entries)
    await until(lambda: store.batches)
    assert ids(table) == sorted(e.id for e in entries)
    assert store.batches == [100]


@pytest.mark.anyio
async def test_a_flush_leaves_nothing_behind_also_while_others_post(ledger, table):
    posting = True

    async def others():
        while posting:
            ledger.post(entry())
            await asyncio.sleep(0.0005)

    task = asyncio.create_task(others())
    for _ in range(5):
        mine = entry()
        await ledger.written(mine)
        assert await ledger.flush()
        assert mine.id in ids(table)
    posting = False
    await task


@pytest.mark.anyio
async def test_a_caller_who_leaves_a_flush_does_not_disturb_it(ledger, table):
    mine = entry()
    ledger.post(mine)
    task = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ledger.flush()
    assert ids(table) == [mine.id]


@pytest.mark.anyio
async def test_a_closed_ledger_leaves_no_files(store, table, outbox):
    ledger = Ledger(store, outbox)
    ledger.post(entry())
    assert [p.stat().st_mode & 0o777 for p in outbox.iterdir()] == [0o600, 0o600]
    assert await ledger.close()
    assert list(outbox.iterdir()) == []
    assert len(ids(table)) == 1


@pytest.mark.anyio
async def test_entries_gather_while_the_store_is_down_and_follow_when_it_is_back(ledger, store, table):
    store.down = True
    sent = []
    for _ in range(20):
        sent.append(entry())
        assert await ledger.written(sent[-1])
        await asyncio.sleep(0.002)
    assert not await ledger.flush(5)
    assert not ledger.healthy
    assert ids(table) == []
    store.down = False
    await until(lambda: ledger.healthy)
    assert await ledger.flush()
    assert ids(table) == sorted(e.id for e in sent)


@pytest.mark.anyio
async def test_what_a_closed_ledger_could_not_deliver_is_moved_at_the_next_start(store, table, outbox):
    store.down = True
    first = Ledger(store, outbox, interval=0.01)
    sent = [entry() for _ in range(3)]
    for e in sent:
        first.post(e)
    assert not await first.close(5)
    store.down = False
    second = Ledger(store, outbox)
    assert await second.catch_up() == 3
    assert ids(table) == sorted(e.id for e in sent)
    assert len(list(outbox.iterdir())) == 2
    await second.close()


@pytest.mark.anyio
async def test_a_full_outbox_keeps_entries_in_memory_and_says_so(store, table, outbox):
    ledger = Ledger(store, outbox, interval=0.01, max_bytes=4000)
    store.down = True
    sent = [entry() for _ in range(50)]
    safe = [ledger.post(e) for e in sent]
    assert True in safe
    assert False in safe
    assert not ledger.healthy
    store.down = False
    await until(lambda: ledger.healthy)
    assert await ledger.close()
    assert ids(table) == sorted(e.id for e in sent)


@pytest.mark.anyio
async def test_a_disk_without_room_spoils_no_entry(ledger, store, table):
    store.down = True
    sent = [entry()]
    assert ledger.post(sent[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (STEP, hard))
        safe = True
        while safe and len(sent) < 10_000:
            sent.append(entry())
            safe = ledger.post(sent[-1])
        assert not safe
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    sent.append(entry())
    assert ledger.post(sent[-1])
    store.down = False
    assert await ledger.flush()
    assert await ledger.flush()
    assert ids(table) == sorted(e.id for e in sent)


@pytest.mark.anyio
async def test_an_entry_that_the_store_cannot_take_holds_up_no_other(ledger, table, outbox):
    sent = [entry(), entry(tokens_in=1 << 70), entry()]
    for e in sent:
        ledger.post(e)
    assert await ledger.flush()
    assert ids(table) == sorted([sent[0].id, sent[2].id])
    assert sent[1].id in (outbox / REJECTED).read_text()
    assert (outbox / REJECTED).stat().st_mode & 0o777 == 0o600


@pytest.mark.anyio
async def test_what_a_caller_wrote_cannot_break_or_flood_the_ledger(ledger, table):
    ledger.post(entry(id="a", model="\ud800\n\x00"))
    ledger.post(entry(id="b", model="x" * MAX_LINE))
    assert await ledger.flush()
    b, a = sorted(table.entries(), key=lambda e: e.id, reverse=True)
    assert a.model == "?\n\x00"
    assert b.model == "x" * MAX_TEXT


@pytest.mark.anyio
async def test_others_on_the_machine_are_caught_up_with_while_they_live(store, table, outbox):
    mine, other = Ledger(store, outbox, interval=60), Ledger(store, outbox, interval=60)
    sent = [entry() for _ in range(5)]
    for e in sent:
        other.post(e)
    assert await mine.catch_up() == 5
    assert ids(table) == sorted(e.id for e in sent)
    last = entry()
    assert other.post(last), "its files were left alone"
    assert await other.close()
    assert await mine.close()
    assert last.id in ids(table)


@pytest.mark.anyio
async def test_a_line_that_is_no_entry_is_put_aside(store, table, outbox):
    outbox.mkdir()
    whole = b'{"id":"a","at":1.0,"request_id":"r","of_a_newer_version":1}\n'
    (outbox / "0-a.jsonl").write_bytes(b"\xff nonsense\n" + whole + b'{"id":"cut","at":1.0,"requ')
    assert recover(outbox, store) == 1
    assert ids(table) == ["a"]
    assert (outbox / REJECTED).read_bytes() == b"\xff nonsense\n"
    assert not (outbox / "0-a.jsonl").exists()


@pytest.mark.anyio
async def test_a_leftover_survives_a_store_that_is_down(store, table, outbox):
    outbox.mkdir()
    (outbox / "0-a.jsonl").write_bytes(b'{"id":"a","at":1.0,"request_id":"r"}\n')
    store.down = True
    with pytest.raises(Unavailable):
        recover(outbox, store)
    store.down = False
    assert recover(outbox, store) == 1
    assert ids(table) == ["a"]


def test_ids_sort_by_time_and_differ():
    now = time.time()
    made = [new_id(now) for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {len(each) for each in made} == {28}
    assert new_id(now + 1e-5) > max(made)
    assert new_id(now - 1e-5) < min(made)


CHILD = """
import asyncio, os, sys, time
from pathlib import Path
from headgate.core.entry import Entry
from headgate.engine.ledger import Ledger, new_id
from headgate.stores.ledger import LedgerTable
from headgate.stores.sqlite import SqliteDatabase

async def caller(ledger):
    while True:
        entry = Entry(id=new_id(time.time()), at=time.time(), request_id="r")
        await ledger.written(entry)
        os.write(1, entry.id.encode() + b"\\n")
        await asyncio.sleep(0)

async def main():
    database = SqliteDatabase(sys.argv[1])
    database.migrate()
    ledger = Ledger(LedgerTable(database), Path(sys.argv[2]), interval=0.005)
    await asyncio.gather(*(caller(ledger) for _ in range(16)))

asyncio.run(main())
"""


def killed(command, lines):
    """What a process printed until it was killed, after so many lines or a little more."""
    seen = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while seen.count(b"\n") < lines:
            data = os.read(process.stdout.fileno(), 4096)
            assert data, "the process ended by itself"
            seen += data
        process.kill()
        seen += process.stdout.read()
    return seen.decode().split("\n")[:-1]


@pytest.mark.parametrize("lines", [1, 700, 3000])
def test_no_entry_is_lost_when_the_process_is_killed(table, tmp_path, outbox, lines):
    told = killed([sys.executable, "-c", CHILD, str(tmp_path / "headgate.db"), str(outbox)], lines)
    recover(outbox, table)
    assert set(told) <= set(ids(table))
    assert list(outbox.iterdir()) == []


@pytest.mark.anyio
async def test_entries_of_the_living_are_told_of_by_themselves_alone(store, table, outbox):
    told = Switched(table)
    mine, other = Ledger(told, outbox, others=table, interval=60), Ledger(store, outbox, interval=60)
    theirs = entry()
    other.post(theirs)
    assert await mine.catch_up() == 1
    assert ids(table) == [theirs.id]
    assert told.batches == []
    assert await other.close()
    assert store.batches == [1]
    assert await mine.close()
