"""Keys that make a retry safe, on both databases."""

import pytest

from headgate.stores.idempotency import HOURS, LEASE, MOST, Claim, IdempotencyTable, Kept
from headgate.testing import FrozenClock

WHO = ("user:ann", "chat", "k")


@pytest.fixture
def clock():
    return FrozenClock()


@pytest.fixture
def table(database, clock):
    return IdempotencyTable(database, clock)


def test_a_key_is_taken_once_and_then_says_what_was_answered(table):
    claim = table.begin(*WHO, "d")
    assert isinstance(claim, Claim)
    assert table.begin(*WHO, "other") == Kept("d", 0)
    table.keep(claim, 200, "headgate-model: m\r\n", b"\0\xff{}")
    assert table.begin(*WHO, "d") == Kept("d", 200, "headgate-model: m\r\n", b"\0\xff{}")


@pytest.mark.parametrize("at", range(3))
def test_a_key_is_somebodys_and_a_paths(table, at):
    table.begin(*WHO, "d")
    others = [*WHO]
    others[at] = "other"
    assert isinstance(table.begin(*others, "d"), Claim)


def test_a_key_that_is_given_up_is_free(table):
    table.give_up(table.begin(*WHO, "d"))
    assert isinstance(table.begin(*WHO, "other"), Claim)


def test_the_key_of_a_process_that_died_is_free_when_its_lease_has_ended(table, clock):
    lost = table.begin(*WHO, "d")
    clock.advance(LEASE - 1)
    assert isinstance(table.begin(*WHO, "d"), Kept)
    clock.advance(1)
    taken = table.begin(*WHO, "d")
    assert isinstance(taken, Claim)
    table.keep(lost, 200, "", b"late")
    table.give_up(lost)
    assert table.begin(*WHO, "d") == Kept("d", 0)
    table.keep(taken, 200, "", b"in time")
    assert table.begin(*WHO, "d").body == b"in time"


def test_a_living_process_keeps_its_own_keys_and_nobody_elses(table, database, clock):
    other = IdempotencyTable(database, clock)
    table.begin(*WHO, "d")
    other.begin("user:ben", "chat", "k", "d")
    clock.advance(LEASE - 1)
    table.renew()
    clock.advance(LEASE - 1)
    assert isinstance(table.begin(*WHO, "d"), Kept)
    assert isinstance(table.begin("user:ben", "chat", "k", "d"), Claim)


def test_an_answer_is_forgotten_after_a_day(table, database, clock):
    table.keep(table.begin(*WHO, "d"), 200, "", b"x")
    clock.advance(HOURS * 3600 - 1)
    assert isinstance(table.begin(*WHO, "d"), Kept)
    clock.advance(1)
    assert isinstance(table.begin(*WHO, "other"), Claim)
    table.keep(table.begin("user:ben", "chat", "k", "d"), 200, "", b"x")
    clock.advance(HOURS * 3600)
    table.keep(table.begin("user:cleo", "chat", "k", "d"), 200, "", b"x")
    assert database.rows("SELECT scope FROM idempotency") == [("user:cleo",)]


def test_there_are_only_so_many_answers_of_one_caller(table, database, clock):
    now = clock()
    row = "INSERT INTO idempotency VALUES (?, 'chat', ?, 'd', 'h', ?, 200, '', ?)"
    database.many(row, [("user:ann", f"k{n}", now + n + 1, b"") for n in range(MOST)])
    table.begin("user:ann", "chat", "running", "d")
    table.keep(table.begin(*WHO, "d"), 200, "", b"x")
    kept = {key for (key,) in database.rows("SELECT key FROM idempotency WHERE scope = 'user:ann'")}
    assert {"k", "running", f"k{MOST - 1}"} <= kept
    assert "k0" not in kept
    assert MOST * 9 // 10 <= len(kept) <= MOST * 9 // 10 + 2
