"""Limits in one process: exact, and bounded in memory."""

from collections import defaultdict
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule

from headgate.core.faults import Overloaded
from headgate.core.limit import Want
from headgate.core.seams import Refusal
from headgate.stores.memory import MemoryLimiter


def run(coroutine):
    """The result of a coroutine that never waits: proof that `reserve` is one step."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the limiter waited")


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


RULES = {
    "requests": ("requests", 6, 8.0),
    "burst": ("requests", 2, 1.0),
    "tokens": ("tokens", 100, 16.0),
    "spend": ("spend", 50, 32.0),
    "concurrent": ("concurrent", 8, 0.0),
}
MOMENTS = st.integers(0, 64).map(lambda sixteenths: sixteenths / 16)
AMOUNTS = st.integers(0, 30) | st.integers(0, 110)


class AgainstBruteForce(RuleBasedStateMachine):
    """The limiter beside a plain list of everything that was ever let in."""

    grants = Bundle("grants")

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.limiter = MemoryLimiter(self.clock)
        self.logs = defaultdict(list)

    def used(self, key):
        window = RULES[key][2]
        since = self.clock.now - window if window else float("-inf")
        return sum(amount for at, amount in self.logs[key] if at > since)

    def fits(self, want):
        return not want.amount or self.used(want.key) + want.amount <= want.limit

    @rule(seconds=MOMENTS)
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(target=grants, keys=st.sets(st.sampled_from(sorted(RULES)), min_size=1, max_size=3), amount=AMOUNTS)
    def reserve(self, keys, amount):
        wants = []
        for key in sorted(keys):
            kind, limit, window = RULES[key]
            wants.append(Want(key, kind, amount if kind in ("tokens", "spend") else 1, limit, window))
        result = run(self.limiter.reserve(wants))
        self.check(wants, result)
        if isinstance(result, Refusal):
            return multiple()
        entries = [[self.clock.now, want.amount] for want in wants]
        for want, entry in zip(wants, entries, strict=True):
            self.logs[want.key].append(entry)
        assert [level.left for level in result.levels] == [max(0, w.limit - self.used(w.key)) for w in wants]
        return result, wants, entries

    def check(self, wants, result):
        assert isinstance(result, Refusal) == (not all(self.fits(want) for want in wants))
        if isinstance(result, Refusal):
            for want, level in zip(wants, result.levels, strict=True):
                assert (level.retry_after > 0) == (not self.fits(want))
                if 0 < want.amount <= want.limit and want.window:
                    self.check_wait(want, level.retry_after)

    def check_wait(self, want, seconds):
        """It fits after the wait, and not a moment sooner."""
        now = self.clock.now
        self.clock.now = now + seconds
        assert self.fits(want)
        if seconds:
            self.clock.now = now + seconds - 1 / 64
            assert not self.fits(want)
        self.clock.now = now

    @rule(grant=consumes(grants), tokens=st.integers(0, 150), spend=st.none() | st.integers(0, 60), kept=st.booleans())
    def settle(self, grant, tokens, spend, kept):
        taken, wants, entries = grant
        actual = {"tokens": tokens} | ({} if spend is None else {"spend": spend}) | ({} if kept else {"requests": 0})
        taken.settle(actual)
        taken.settle({"tokens": 0, "spend": 0, "requests": 0})
        for want, entry in zip(wants, entries, strict=True):
            entry[1] = 0 if want.kind == "concurrent" else actual.get(want.kind, want.amount)

    @rule()
    def look(self):
        for key, (kind, limit, window) in RULES.items():
            (level,) = run(self.limiter.levels([Want(key, kind, 1, limit, window)]))
            assert level.left == max(0, limit - self.used(key))


TestAgainstBruteForce = AgainstBruteForce.TestCase
TestAgainstBruteForce.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, database=None)


def take(limiter, *wants):
    return not isinstance(run(limiter.reserve(wants)), Refusal)


def test_slots_hold_the_limit_in_every_window_and_keep_the_log_short():
    clock, limit, window = Clock(), 500, 1000.0
    limiter = MemoryLimiter(clock, exact=100)
    let_in, gaps = [], Random(7)
    for _ in range(10_000):
        clock.now += gaps.choice((0, 0, 0, 0, 1 / 2, 3 / 4))
        if take(limiter, Want("k", "requests", 1, limit, window)):
            let_in.append(clock.now)
            assert len(let_in) <= limit or let_in[-limit - 1] <= clock.now - window
    assert len(let_in) >= 990
    assert len(limiter._meters["k"]._times) <= 2 * (100 + 1000)


def test_a_log_beyond_its_exact_size_grows_by_a_slot_a_thousandth_of_the_window():
    clock = Clock()
    limiter = MemoryLimiter(clock, exact=10)
    grants = []
    for step in range(1000):
        clock.now = 1000.0 + step / 1024
        grants.append(run(limiter.reserve([Want("k", "tokens", 3, 10**6, 1000.0)])))
    assert len(limiter._meters["k"]._times) <= 12
    for grant in grants[::2]:
        grant.settle({"tokens": 0})
    (level,) = run(limiter.levels([Want("k", "tokens", 1, 10**6, 1000.0)]))
    assert level.left == 10**6 - 1500


def test_a_long_log_is_exact_after_it_was_compacted():
    clock = Clock()
    limiter = MemoryLimiter(clock)
    want = Want("k", "tokens", 5, 10**6, 10.0)
    early = [run(limiter.reserve([want])) for _ in range(500)]
    clock.now += 6
    late = [run(limiter.reserve([want])) for _ in range(100)]
    clock.now += 6
    run(limiter.levels([want]))
    for grant in early + late:
        grant.settle({"tokens": 2})
    (level,) = run(limiter.levels([want]))
    assert level.left == 10**6 - 200
    assert len(limiter._meters["k"]._times) == 100


def test_refused_callers_leave_nothing_behind():
    limiter = MemoryLimiter(Clock())
    everybody = Want("all", "requests", 1, 5, 60.0)
    for caller in range(1000):
        take(limiter, Want(f"address {caller}", "requests", 1, 5, 60.0), everybody)
    assert len(limiter) == 6


def test_idle_keys_are_swept_as_new_ones_come():
    clock = Clock()
    limiter = MemoryLimiter(clock)
    for caller in range(5000):
        clock.now += 1
        take(limiter, Want(f"address {caller}", "requests", 1, 5, 60.0))
        assert len(limiter) <= 130


def test_a_key_in_use_is_never_swept():
    clock = Clock()
    limiter = MemoryLimiter(clock)
    held = run(limiter.reserve([Want("held", "concurrent", 1, 1, 0.0)]))
    assert take(limiter, Want("day", "requests", 1, 1, 86_400.0))
    for caller in range(500):
        clock.now += 100
        take(limiter, Want(f"address {caller}", "requests", 1, 5, 60.0))
    assert not take(limiter, Want("held", "concurrent", 1, 1, 0.0))
    assert not take(limiter, Want("day", "requests", 1, 1, 86_400.0))
    held.settle({})
    assert take(limiter, Want("held", "concurrent", 1, 1, 0.0))


def test_too_many_callers_at_once_are_refused_and_those_known_are_served():
    clock = Clock()
    limiter = MemoryLimiter(clock, max_keys=50)
    known = Want("known", "requests", 1, 100, 60.0)
    assert take(limiter, known)
    for caller in range(49):
        assert take(limiter, Want(f"address {caller}", "requests", 1, 5, 60.0))
    with pytest.raises(Overloaded):
        take(limiter, known, Want("one more", "requests", 1, 5, 60.0))
    assert run(limiter.levels([known]))[0].left == 99
    assert take(limiter, known)
    clock.now += 61
    assert take(limiter, Want("one more", "requests", 1, 5, 60.0), known)
    assert run(limiter.levels([known]))[0].left == 99
    assert not take(limiter, Want("known", "requests", 100, 100, 60.0))


def test_what_an_earlier_process_let_in_counts_until_its_time_has_come():
    clock = Clock()
    limiter = MemoryLimiter(clock, max_keys=2)
    month = Want("a", "spend", 3, 10, 1000.0)
    limiter.remember(month, 990.0, 4)
    limiter.remember(month, 500.0, 4)
    limiter.remember(Want("b", "requests", 1, 5, 3600.0), 0.0, 0)
    assert isinstance(run(limiter.reserve([month])), Refusal)
    [level] = run(limiter.levels([month]))
    assert (level.left, level.retry_after, level.reset_after) == (2, 10.0, 500.0)
    clock.now += 10
    assert not isinstance(run(limiter.reserve([month])), Refusal)
    assert len(limiter) == 1
    for key in "bcd":
        limiter.remember(Want(key, "requests", 1, 5, 3600.0), 0.0, 1)
    assert len(limiter) == 2
