"""Which target is asked first. Lots are drawn with a fixed seed, so that the shares are the same every time."""

from collections import Counter
from random import Random

import pytest

from headgate.core.faults import UpstreamDown
from headgate.engine.strategies import FORGETTING, LeastBusy, Weighted, order_of
from headgate.engine.targets import Target, Upstream
from headgate.testing import FrozenClock, ScriptedProvider

CALLS = 10_000


def targets(*names):
    upstream = Upstream.of("p", ScriptedProvider())
    return [Target(upstream, name) for name in names]


def firsts(order, listed, times=CALLS):
    return Counter(order(listed)[0].model for _ in range(times))


def trip(target):
    for _ in range(5):
        target.breaker.failed(UpstreamDown("no"))


def test_each_target_comes_first_in_its_share_of_the_calls():
    found = firsts(Weighted({"p/a": 6, "p/b": 3, "p/c": 1}, Random(1)), targets("a", "b", "c"))
    assert found["a"] == pytest.approx(0.6 * CALLS, rel=0.05)
    assert found["b"] == pytest.approx(0.3 * CALLS, rel=0.05)
    assert found["c"] == pytest.approx(0.1 * CALLS, rel=0.1)


def test_those_that_come_after_keep_their_shares_among_themselves():
    listed = targets("a", "b", "c")
    order = Weighted({"p/a": 6, "p/b": 3, "p/c": 1}, Random(2))
    after_a = Counter(tried[1].model for tried in (order(listed) for _ in range(CALLS)) if tried[0].model == "a")
    assert after_a["b"] / after_a["c"] == pytest.approx(3, rel=0.15)


def test_a_target_without_weight_is_asked_only_after_the_others():
    listed = targets("a", "b", "c")
    order = Weighted({"p/a": 0, "p/b": 1, "p/c": 1}, Random(3))
    assert {order(listed)[-1].model for _ in range(200)} == {"a"}


def test_every_target_is_in_every_order():
    listed = targets("a", "b", "c", "d")
    for order in (Weighted({"p/a": 1, "p/c": 5}, Random(4)), LeastBusy(Random(4))):
        for _ in range(50):
            assert sorted(target.model for target in order(listed)) == ["a", "b", "c", "d"]


def test_the_less_busy_of_two_is_asked_first():
    busy, idle = listed = targets("busy", "idle")
    busy.busy = 5
    assert set(firsts(LeastBusy(Random(5)), listed, 100)) == {"idle"}
    assert idle.busy == 0


def test_a_slow_target_gets_calls_only_when_the_fast_one_has_many():
    clock = FrozenClock()
    slow, fast = listed = targets("slow", "fast")
    slow.latency, fast.latency = 1.0, 0.1
    slow.heard_at = fast.heard_at = clock()
    order = LeastBusy(Random(6), clock)
    fast.busy = 8
    assert order(listed)[0] is fast
    fast.busy = 10
    assert order(listed)[0] is slow


def test_a_target_that_was_slow_once_is_looked_at_again():
    clock = FrozenClock()
    slow, fast = listed = targets("slow", "fast")
    slow.latency, fast.latency = 0.8, 0.1
    slow.heard_at = fast.heard_at = clock()
    order = LeastBusy(Random(7), clock)
    assert order(listed)[0] is fast
    clock.advance(4 * FORGETTING)
    fast.heard_at = clock()
    assert order(listed)[0] is slow


def test_a_target_that_nothing_is_known_of_is_tried():
    clock = FrozenClock()
    known, new = listed = targets("known", "new")
    known.latency, known.heard_at, known.busy = 0.2, clock(), 1
    assert LeastBusy(Random(8), clock)(listed)[0] is new


def test_two_choices_do_not_send_everybody_to_the_best():
    clock = FrozenClock()
    listed = targets(*"abcdef")
    for target in listed:
        target.latency, target.heard_at = 0.1, clock()
    listed[0].latency = 0.05
    found = firsts(LeastBusy(Random(9), clock), listed)
    assert found["a"] == pytest.approx(CALLS / 3, rel=0.1)  # it is among the two drawn in a third of the cases


def test_the_load_of_equal_targets_stays_even():
    listed = targets(*"abcde")
    order = LeastBusy(Random(10))
    for _ in range(1000):
        order(listed)[0].busy += 1
    assert max(target.busy for target in listed) - min(target.busy for target in listed) <= 5


def test_a_spared_target_comes_last_and_one_that_waits_for_its_trial_first():
    clock = FrozenClock()
    ill, well, worse = listed = targets("ill", "well", "worse")
    for target in (ill, worse):
        target.breaker._clock = clock
        trip(target)
    order = LeastBusy(Random(11), clock)
    assert order(listed)[0] is well
    clock.advance(5)
    assert order(listed)[0] in (ill, worse)
    assert ill.breaker.allows()
    assert not ill.breaker.allows()
    assert well in order(listed)


def test_the_order_of_the_list_needs_no_strategy():
    assert order_of("order", {}, Random(1)) is None
    assert isinstance(order_of("weighted", {}, Random(1)), Weighted)
    assert isinstance(order_of("least_busy", {}, Random(1)), LeastBusy)
