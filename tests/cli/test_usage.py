"""`headgate usage` adds up the ledger."""

import json
import time

import pytest

from headgate.core.entry import Entry
from headgate.stores.ledger import LedgerTable
from headgate.stores.sqlite import SqliteDatabase


@pytest.fixture
def spent(here):
    """Three calls: ada's today, dear; bob's today, without a price; ada's long ago."""
    database = SqliteDatabase(here / ".headgate" / "headgate.db")
    database.migrate()
    common = {"kind": "user", "model": "assistant", "tokens_in": 1000, "tokens_out": 500}
    now = time.time()
    LedgerTable(database).write(
        [
            Entry(id="1", at=now, request_id="r1", principal="ada", cost=1_500_000, **common),
            Entry(id="2", at=now, request_id="r2", principal="bob", **common),
            Entry(id="3", at=now - 30 * 86_400, request_id="r3", principal="ada", cost=1_000_000, **common),
            Entry(id="4", at=now, request_id="r4", kind="user", principal="bob", status="refused"),
        ]
    )
    database.close()


def used(run, *args):
    rows = json.loads(run("usage", "--json", *args).stdout)
    return {next(iter(row.values())): (row["requests"], row["refused"], row["cost_usd"]) for row in rows}


def test_calls_are_added_up_by_whom_and_since_when(run, spent):
    assert used(run, "--by", "user") == {"user:ada": (1, 0, 0.0015), "user:bob": (2, 1, 0.0)}
    assert used(run, "--by", "user", "--since", "60d")["user:ada"] == (2, 0, 0.0025)
    assert used(run, "--by", "all") == {"": (3, 1, 0.0015)}


def test_a_cost_that_leaves_something_out_is_marked(run, spent):
    table = run("usage", "--by", "user").output
    assert "0.001500\n" in table.replace(" \n", "\n")
    assert "0.000000+" in table


def test_no_calls_are_said_so(run):
    assert run("usage").output == "No calls in that time.\n"
    assert used(run) == {}


def test_what_cannot_be_grouped_by_is_wrong_usage(run):
    assert run("usage", "--by", "weather").exit_code == 2
    assert run("usage", "--since", "yesterday").exit_code == 2
