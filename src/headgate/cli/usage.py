"""`headgate usage`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli._shared import Seconds, config_option, database, example, json_option, print_table

if TYPE_CHECKING:
    from headgate.stores.usage import By, Total

_GROUPS = ["model", "user", "key", "day", "tier", "provider", "status", "all"]
_NUMBERS = ("requests", "refused", "errors", "tokens_in", "tokens_out", "cached", "cost_usd")


@click.command(epilog=example("usage", "usage --by user --since 30d --json"))
@config_option
@click.option("--by", type=click.Choice(_GROUPS), default="model", show_default=True, help="What to group by.")
@click.option("--since", type=Seconds(), default="7d", show_default=True, help="How far back: 12h, 7d, 30d.")
@json_option
def usage(config_path: Path | None, by: By, since: float, as_json: bool) -> None:
    """Show requests, tokens and cost from the ledger.

    Refused calls are counted and cost nothing. A cost marked with + is too low: it leaves out calls whose price is
    unknown. Days are UTC.
    """
    from headgate.config import load
    from headgate.stores.ledger import LedgerTable

    with database(load(config_path)) as opened:
        totals = LedgerTable(opened).totals(by, since=time.time() - since)
    rows = [_row(by, total, exact=as_json) for total in totals]
    print_table(rows, as_json=as_json, empty="No calls in that time.", right=_NUMBERS, whole=(by,))


def _row(by: str, total: Total, *, exact: bool) -> dict[str, object]:
    cost = f"{total.cost_usd:.6f}{'+' if total.unpriced else ''}"
    row = {
        by: total.name if exact else total.name or "-",  # refused before a model was known
        "requests": total.requests,
        "refused": total.refused,
        "errors": total.errors,
        "tokens_in": total.tokens_in,
        "tokens_out": total.tokens_out,
        "cached": total.cached,
        "cost_usd": total.cost_usd if exact else cost,
    }
    return row | {"unpriced": total.unpriced} if exact else row
