"""Whose fault a failure is: the caller's, our key's, the model's, the vendor's."""

import time

import pytest

from headgate.core.faults import (
    ContextTooLong,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamDown,
    UpstreamMissing,
    UpstreamQuota,
    UpstreamRedirected,
    UpstreamRejected,
    UpstreamTimeout,
)
from headgate.core.seams import Embedder
from headgate.engine.targets import RETRIES_LEAST, Target, Upstream
from headgate.testing import ScriptedProvider


def upstream(keys=1):
    return Upstream.of("p", *(ScriptedProvider() for _ in range(keys)))


def fail(target, fault, times=5):
    for _ in range(times):
        target.begun()
        target.ended(fault)


def limited(seconds=7.0, status=429):
    fault = UpstreamBusy("later", retry_after=seconds)
    fault.status = status
    return fault


def refused(status):
    fault = UpstreamAuth("no")
    fault.status = status
    return fault


@pytest.mark.parametrize(
    "fault",
    [
        UpstreamDown("no"),
        UpstreamTimeout("slow"),
        UpstreamBusy("later"),
        UpstreamRedirected("there"),
        UpstreamMissing("the model `m` does not exist"),
        UpstreamAuth("no"),
    ],
)
def test_what_is_its_own_fault_trips_a_target(fault):
    target = Target(upstream(), "m")
    fail(target, fault)
    assert target.breaker.tripped
    assert (target.calls, target.failures, target.busy, target.upstream.active) == (5, 5, 0, 0)


@pytest.mark.parametrize(
    "fault",
    [UpstreamRejected("max_tokens"), ContextTooLong("too long"), UpstreamMissing("Item with id 'rs_1' not found")],
)
def test_what_is_the_callers_fault_never_trips(fault):
    target = Target(upstream(), "mistral-7b")
    fail(target, fault, 50)
    assert not target.breaker.tripped
    assert target.failures == 0


def test_who_asks_a_chat_model_for_vectors_does_not_keep_others_from_its_words():
    target = Target(upstream(), "m")
    twin = target.beside(Embedder)
    fail(twin, UpstreamMissing("m is not supported for embedContent"))
    assert twin.breaker.tripped
    assert twin is target.beside(Embedder)
    assert not target.breaker.tripped


def test_keys_are_used_in_turn():
    target = Target(upstream(3), "m")
    assert [target.key().name for _ in range(6)] == ["2", "3", "1"] * 2


@pytest.mark.parametrize("fault", [refused(401), UpstreamQuota("no money")])
def test_a_key_that_is_refused_is_spared_for_every_model(fault):
    pool = upstream(2)
    target, other = Target(pool, "m"), Target(pool, "n")
    key = target.key()
    for _ in range(30):
        target.spoke(key, time.monotonic())
    assert target.refused(key, fault)
    assert {target.key(), target.key(), other.key(), other.key()} == set(pool.keys) - {key}
    assert not target.breaker.tripped


@pytest.mark.parametrize("fault", [refused(403), limited()])
def test_a_key_that_is_limited_or_lacks_a_model_rests_for_that_model(fault):
    pool = upstream(2)
    target, other = Target(pool, "m"), Target(pool, "n")
    key = target.key()
    assert target.refused(key, fault)
    assert {target.key(), target.key()} == set(pool.keys) - {key}
    assert {other.key(), other.key()} == set(pool.keys)
    assert 6 < target.rests_for(key) <= 60


@pytest.mark.parametrize("fault", [UpstreamDown("no"), limited(status=503), UpstreamRejected("no")])
def test_what_is_not_for_the_key_leaves_it_in_turn(fault):
    target = Target(upstream(2), "m")
    key = target.key()
    assert not target.refused(key, fault)
    assert key in (target.key(), target.key())


def test_an_only_key_is_judged_with_its_target():
    target = Target(upstream(), "m")
    assert not target.refused(target.key(), refused(401))
    assert target.key() is not None


def test_without_a_key_left_the_one_that_is_free_soonest_is_told():
    target = Target(upstream(2), "m")
    first, second = target.upstream.keys
    target.refused(first, refused(401))
    target.refused(second, limited(9))
    assert target.key() is None
    fault = target.keyless()
    assert isinstance(fault, UpstreamBusy)
    assert 8 < fault.retry_after <= 9
    target.ended(fault)
    assert not target.breaker.tripped


def test_latency_is_smoothed():
    target = Target(upstream(), "m")
    key = target.key()
    target.spoke(key, time.monotonic() - 1.0)
    assert target.latency >= 1.0
    for _ in range(50):
        target.spoke(key, time.monotonic() - 0.1)
    assert 0.1 <= target.latency < 0.9


def test_retries_are_a_share_of_the_calls_under_way():
    pool = upstream()
    pool.retrying = RETRIES_LEAST - 1
    assert pool.may_retry()
    pool.retrying = RETRIES_LEAST
    assert not pool.may_retry()
    pool.active = 50
    pool.retrying = 9
    assert pool.may_retry()
    pool.retrying = 10
    assert not pool.may_retry()
