"""Rows are inserted many a statement, and come out as they went in."""

import sqlite3
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.stores.inserting import CHUNK, PATTERNS, Inserting

COLUMNS = ("id", "kind", "model", "price", "cost")
pytestmark = pytest.mark.skipif(not PATTERNS, reason="this Python's sqlite3 warns of numbered parameters")

VALUES = st.sampled_from([None, 0, 1, 1.5, True, "", "a", "b", "?", "c.c0", "'"])
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), min_size=1, max_size=3)


@pytest.fixture
def database():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(f"CREATE TABLE t ({', '.join(COLUMNS)}, PRIMARY KEY (id))")
    yield connection
    connection.close()


def insert(database, inserting, rows, then=""):
    """Insert the rows; how many values each statement bound."""
    sizes = []
    for sql, values in inserting.statements("t", COLUMNS, rows, then):
        database.execute(sql, values)
        sizes.append(len(values))
    return sizes


def numbered(rows, first=0):
    return [(number, *row) for number, row in enumerate(rows, first)]


def kept(database):
    return database.execute("SELECT * FROM t ORDER BY id").fetchall()


def test_what_the_rows_have_in_common_is_bound_once(database):
    rows = numbered([("key", "m", None, number / 7) for number in range(2 * CHUNK + 40)])
    sizes = insert(database, Inserting(), rows)
    assert sizes == [3 + 2 * CHUNK, 3 + 2 * CHUNK, 3 + 2 * 32, 3 + 2 * 8]
    assert kept(database) == rows


def test_rows_that_have_less_in_common_than_was_learned_are_bound_in_full_or_learned_of(database):
    inserting = Inserting()
    rows = []
    for model in ("m", "n", None):
        rows += numbered([("key", model, 1.5, 2)] * CHUNK, len(rows))
    rows += numbered([("key", f"m{number}", 1.5, 2) for number in range(2 * CHUNK)], len(rows))
    rows += numbered([(f"k{number}", f"m{number}", number, number) for number in range(CHUNK)], len(rows))
    bound = insert(database, inserting, rows)
    assert bound == [4 + CHUNK] * 3 + [3 + 2 * CHUNK] * 2 + [5 * CHUNK]
    assert kept(database) == rows


def test_few_patterns_are_learned(database):
    inserting, first = Inserting(), 0
    bound = []
    for place in range(4):
        for other in range(4):
            rows = [["same"] * 4 for _ in range(CHUNK)]
            for number, row in enumerate(rows):
                row[place] = row[other] = number
            bound += insert(database, inserting, numbered(rows, first))
            first += CHUNK
    assert len({size for size in bound if size < 5 * CHUNK}) <= PATTERNS
    assert database.execute("SELECT count(*) FROM t").fetchone() == (first,)


def test_what_ends_a_statement_ends_each(database):
    then = "ON CONFLICT (id) DO UPDATE SET cost = t.cost + excluded.cost"
    inserting = Inserting()
    rows = numbered([("key", "m", None, number) for number in range(CHUNK + 10)])
    for _ in range(2):
        insert(database, inserting, rows, then)
    assert kept(database) == [(*row[:-1], 2 * row[-1]) for row in rows]


@given(st.lists(st.tuples(ROWS, st.sampled_from([1, 3, 30, 70])), min_size=1, max_size=5))
def test_rows_come_out_as_they_went_in(parts):
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute(f"CREATE TABLE t ({', '.join(COLUMNS)})")
    inserting = Inserting()
    rows = numbered(row for some, times in parts for row in some * times)
    for begin, end in pairwise([0, len(rows) // 2, len(rows)]):
        insert(database, inserting, rows[begin:end])
    assert kept(database) == rows
    database.close()
