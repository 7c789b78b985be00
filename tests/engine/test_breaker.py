"""The breaker: who is spared, and for how long."""

import pytest

from headgate.core.faults import Unsupported, UpstreamAuth, UpstreamBusy, UpstreamDown, UpstreamRejected
from headgate.engine.breaker import RECORD, Breaker
from headgate.testing import FrozenClock


@pytest.fixture
def clock():
    return FrozenClock()


@pytest.fixture
def breaker(clock):
    return Breaker(failures=5, cooldown=5.0, longest=60.0, clock=clock)


def fail(breaker, times, fault=None):
    for _ in range(times):
        breaker.failed(fault or UpstreamDown("no"))


def test_five_failures_in_a_row_trip_a_target_that_nothing_good_is_known_of(breaker):
    fail(breaker, 4)
    assert breaker.allows()
    fail(breaker, 1)
    assert breaker.tripped
    assert not breaker.allows()


def test_a_good_record_outweighs_a_few_odd_calls(breaker):
    for _ in range(RECORD):
        breaker.succeeded()
    fail(breaker, RECORD // 2 - 1)
    assert breaker.allows()
    fail(breaker, 1)
    assert not breaker.allows()


def test_failures_between_successes_never_trip(breaker):
    for _ in range(50):
        fail(breaker, 4)
        breaker.succeeded()
    assert breaker.allows()


def test_an_upstream_that_finds_fault_with_a_request_is_well(breaker):
    for _ in range(5):
        fail(breaker, 4)
        breaker.failed(UpstreamRejected("no such field"))
    assert breaker.allows()


def test_what_never_reached_the_upstream_says_nothing_about_it(breaker):
    fail(breaker, 4)
    breaker.failed(Unsupported("no"))
    fail(breaker, 1, UpstreamAuth("no"))
    assert not breaker.allows()


def test_one_trial_at_a_time_decides(breaker, clock):
    fail(breaker, 5)
    clock.advance(5)
    assert breaker.allows()
    assert not breaker.allows()
    fail(breaker, 1)
    clock.advance(9.9)
    assert not breaker.allows()  # the cooldown has doubled
    clock.advance(0.2)
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert not breaker.tripped


def test_a_trial_that_was_left_or_never_asked_is_free_for_the_next_caller(breaker, clock):
    fail(breaker, 5)
    clock.advance(5)
    for give_up in (breaker.left, lambda: breaker.failed(Unsupported("no"))):
        assert breaker.allows()
        give_up()
    assert breaker.allows()


def test_a_target_rests_as_long_as_it_asked_to(breaker, clock):
    fail(breaker, 5, UpstreamBusy("later", retry_after=20))
    clock.advance(19)
    assert not breaker.allows()
    clock.advance(1)
    assert breaker.allows()
