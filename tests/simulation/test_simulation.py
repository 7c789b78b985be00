"""Thousands of schedules of callers, faults and outages, in time that passes by itself: every promise holds in each.

A failure is made as small as it gets, and says how to see it again: `HEADGATE_SEED=4711:0,3` plays only those callers
of schedule 4711. `HEADGATE_SCHEDULES=100000` plays more of them than every run does.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from msgspec import structs

from headgate.engine.hold import Hold
from headgate.engine.ledger import Ledger
from headgate.stores.memory import MemoryGrant
from simulation._plan import Plan, plan_of
from simulation._world import play

SCHEDULES = int(os.environ.get("HEADGATE_SCHEDULES", "2000"))
PARTS = 4
_memory = Path("/dev/shm")


@contextmanager
def playground() -> Iterator[Callable[[Plan], Exception | None]]:
    """Plays schedules in folders of their own, in memory where that can be had; tells what went wrong."""
    with tempfile.TemporaryDirectory(dir=_memory if _memory.is_dir() else None) as folder:
        names = map(str, count())

        def played(plan: Plan) -> Exception | None:
            try:
                play(plan, Path(folder) / next(names))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
                return error
            return None

        yield played


def shrunk(plan: Plan, played: Callable[[Plan], Exception | None]) -> Plan:
    """The plan with every caller left out without whom it still fails."""
    for caller in plan.callers:
        fewer = plan.only({one.number for one in plan.callers} - {caller.number})
        if fewer.callers and played(fewer) is not None:
            plan = fewer
    return plan


def check(seeds: Iterator[int] | range) -> None:
    with playground() as played:
        for seed in seeds:
            if played(plan_of(seed)) is not None:
                small = shrunk(plan_of(seed), played)
                numbers = ",".join(str(caller.number) for caller in small.callers)
                pytest.fail(f"HEADGATE_SEED={seed}:{numbers} plays it again: {played(small)!r}")


@pytest.mark.parametrize("part", range(PARTS))
def test_every_schedule_keeps_every_promise(part):
    if named := os.environ.get("HEADGATE_SEED"):
        seed, _, numbers = named.partition(":")
        plan = plan_of(int(seed))
        with playground() as played:
            error = played(plan.only({int(number) for number in numbers.split(",")}) if numbers else plan)
        if error is not None:
            raise error
        return
    check(range(part, SCHEDULES, PARTS))


def forget_to_settle(monkeypatch):
    monkeypatch.setattr(MemoryGrant, "settle", lambda *_: None)


def forget_an_entry(monkeypatch):
    post = Ledger.post
    monkeypatch.setattr(Ledger, "post", lambda self, entry: entry.request_id == "2" or post(self, entry))


def write_it_down_twice(monkeypatch):
    post = Ledger.post

    def twice(self, entry):
        post(self, entry)
        return post(self, structs.replace(entry, id=entry.id[::-1]))

    monkeypatch.setattr(Ledger, "post", twice)


def let_everybody_in(monkeypatch):
    monkeypatch.setattr("headgate.stores.memory._Log.used", property(lambda _: 0, lambda *_: None), raising=False)


def ask_for_ever(monkeypatch):
    monkeypatch.setattr("headgate.engine.routing._pause", lambda *_: 0.01)


def leave_without_a_trace(monkeypatch):
    monkeypatch.setattr(Hold, "_close", lambda *_: None)


@pytest.mark.parametrize(
    "fault",
    [
        forget_to_settle,
        forget_an_entry,
        write_it_down_twice,
        let_everybody_in,
        ask_for_ever,
        leave_without_a_trace,
    ],
)
def test_a_broken_promise_is_found_and_made_small(monkeypatch, fault):
    fault(monkeypatch)
    with pytest.raises(pytest.fail.Exception, match=r"HEADGATE_SEED=\d+:[\d,]+ plays it again"):
        check(range(300))
