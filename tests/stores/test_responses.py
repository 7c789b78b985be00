"""Kept responses in a real database: whose they are, what is in them, and how long they stay."""

import json

import pytest

from headgate.core.faults import NotFound
from headgate.stores import responses
from headgate.stores.responses import DAYS, ResponseTable
from headgate.stores.sqlite import SqliteDatabase
from headgate.testing import FrozenClock

ADA, BOB = "user:ada", "user:bob"
ASKED = [{"type": "message", "id": "msg_a", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]


@pytest.fixture
def clock():
    return FrozenClock()


@pytest.fixture
def database(tmp_path):
    database = SqliteDatabase(tmp_path / "headgate.db")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def table(database, clock):
    return ResponseTable(database, clock)


def answer(number, text="hello"):
    item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "content": [{"type": "t", "text": text}]}
    return {"id": f"resp_{number}", "object": "response", "output": [item], "brand_new": 1.5}


def kept(table, tenant, *numbers):
    """Those of the responses that are there."""
    found = []
    for number in numbers:
        try:
            table.body(tenant, f"resp_{number}")
        except NotFound:
            continue
        found.append(number)
    return found


def test_a_kept_response_is_found_as_it_was(table):
    assert table.keep(ADA, ASKED, answer(1))
    assert json.loads(table.body(ADA, "resp_1")) == answer(1)
    assert table.input(ADA, "resp_1") == ASKED
    assert table.history(ADA, "resp_1") == [*ASKED, *answer(1)["output"]]
    assert table.items(ADA, ["msg_1", "msg_none"]) == {"msg_1": answer(1)["output"][0]}


def test_texts_of_every_script_survive(table):
    said = answer(1, 'Gr\u00fc\u00dfe, \u4e16\u754c \U0001f30d \u0000 "quoted" \\ \u2028')
    table.keep(ADA, ASKED, said)
    assert json.loads(table.body(ADA, "resp_1")) == said


def test_another_tenants_response_does_not_exist(table):
    table.keep(ADA, ASKED, answer(1))
    for act in (table.body, table.input, table.history, table.delete):
        with pytest.raises(NotFound):
            act(BOB, "resp_1")
    assert table.items(BOB, ["msg_1"]) == {}
    assert kept(table, ADA, 1) == [1]


def test_two_tenants_may_have_responses_of_the_same_id(table):
    table.keep(ADA, ASKED, answer(1, "ada's"))
    table.keep(BOB, ASKED, answer(1, "bob's"))
    assert json.loads(table.body(ADA, "resp_1")) == answer(1, "ada's")
    table.delete(BOB, "resp_1")
    assert kept(table, ADA, 1) == [1]


def test_a_deleted_response_is_gone_with_its_items(table, database):
    table.keep(ADA, ASKED, answer(1))
    table.delete(ADA, "resp_1")
    with pytest.raises(NotFound):
        table.delete(ADA, "resp_1")
    assert kept(table, ADA, 1) == []
    assert database.rows("SELECT COUNT(*) FROM response_items") == [(0,)]


def test_a_response_kept_again_replaces_the_first(table):
    table.keep(ADA, ASKED, answer(1, "first"))
    table.keep(ADA, ASKED, answer(1, "second"))
    assert json.loads(table.body(ADA, "resp_1")) == answer(1, "second")


def test_responses_expire(table, database, clock):
    table.keep(ADA, ASKED, answer(1))
    clock.advance(DAYS * 86_400 - 1)
    assert kept(table, ADA, 1) == [1]
    clock.advance(1)
    assert kept(table, ADA, 1) == []
    assert table.items(ADA, ["msg_1"]) == {}
    with pytest.raises(NotFound):
        table.delete(ADA, "resp_1")
    table.keep(BOB, ASKED, answer(2))
    assert database.rows("SELECT id FROM responses") == [("resp_2",)]


def test_the_oldest_make_room_for_the_newest(table, clock, monkeypatch):
    monkeypatch.setattr(responses, "MOST", 10)
    table.keep(BOB, ASKED, answer(0))
    for number in range(20):
        table.keep(ADA, ASKED, answer(number))
        clock.advance(1)
        assert kept(table, ADA, *range(20))[-9:] == list(range(number + 1))[-9:]
        assert len(kept(table, ADA, *range(20))) <= 10
    assert kept(table, BOB, 0) == [0]


def test_large_ones_make_room_too(table, clock, monkeypatch):
    monkeypatch.setattr(responses, "MOST_BYTES", 5000)
    for number in range(4):
        table.keep(ADA, ASKED, answer(number, "x" * 2000))
        clock.advance(1)
    assert kept(table, ADA, *range(4)) == [2, 3]


def test_one_that_is_too_large_is_not_kept_and_drives_nothing_out(table, monkeypatch):
    monkeypatch.setattr(responses, "LARGEST", 3000)
    table.keep(ADA, ASKED, answer(1))
    assert not table.keep(ADA, ASKED, answer(2, "x" * 3000))
    assert kept(table, ADA, 1, 2) == [1]


def test_an_id_is_taken_by_the_letter(table):
    table.keep(ADA, ASKED, answer(1))
    for id_ in ("resp_%", "RESP_1", "", "' OR 1=1 --"):
        with pytest.raises(NotFound):
            table.body(ADA, id_)
        assert table.items(ADA, [id_]) == {}


def test_what_has_expired_goes_even_if_nothing_new_comes(table, database, clock):
    table.keep(ADA, ASKED, answer(1))
    table.expire()
    assert database.rows("SELECT COUNT(*) FROM responses") == [(1,)]
    clock.advance(31 * 86_400)
    table.expire()
    assert database.rows("SELECT COUNT(*) FROM responses") == database.rows("SELECT COUNT(*) FROM response_items")
    assert database.rows("SELECT COUNT(*) FROM responses") == [(0,)]
