"""`headgate limits`: what is left of a caller's limits, and the operator's hand on them. The service is asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from headgate.cli._service import address_of, answer
from headgate.cli._shared import config_option, example, json_option, print_json, print_table


@click.group(
    epilog=example(
        "limits show --user ada --tier pro",
        "limits reset --key key_0123456789abcdef",
        "limits grant --user ada --tier pro tier-pro-requests-86400s 500",
    )
)
def limits() -> None:
    """Show, reset and raise the limits of a caller, as the running service counts them."""


def _whose(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say whose limits are meant, and which service is asked."""

    @wraps(command)
    def asked(config_path: Path | None, url: str | None, admin_key: str, **options: Any) -> None:
        from headgate.config import load, text_of

        config = load(config_path)
        names = ("key", "user", "tier", "anonymous", "address", "model")
        whose = {name: value for name in names if (value := options.pop(name))}
        admin_key = admin_key or text_of(config.access.admin_key)
        if not admin_key:
            raise click.UsageError("this needs the admin key: set HEADGATE_ADMIN_KEY, or --admin-key")
        command(Service(address_of(config, url), admin_key), whose, **options)

    for option in (
        json_option,
        click.option("--admin-key", envvar="HEADGATE_ADMIN_KEY", default="", help="[env: HEADGATE_ADMIN_KEY]"),
        click.option("--url", help="The running service.  [default: the configured address]"),
        config_option,
        click.option("--address", help="A caller's address, for limits per address."),
        click.option("--model", help="The model that is called.  [default: the default model]"),
        click.option("--anonymous", is_flag=True, help="Those of the anonymous callers."),
        click.option("--tier", help="The tier in which the user calls.  [default: standard]"),
        click.option("--user", help="Those of a user."),
        click.option("--key", help="Those of a key, by its id.  [default: nobody's, but the service's own]"),
    ):
        asked = option(asked)
    return asked


class Service:
    """The admin's side of a running service."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._key = key

    def get(self, path: str, query: dict[str, Any]) -> Any:
        """What is there."""
        return answer(self._address, "GET", path, self._key, query=query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """What it says to an order."""
        return answer(self._address, "POST", path, self._key, body=body)


@limits.command(epilog=example("limits show", "limits show --user ada --tier pro --json"))
@_whose
def show(service: Service, whose: dict[str, Any], as_json: bool) -> None:
    """Show what is used and left of each limit, and when it frees."""
    _print(service.get("/admin/limits", whose), as_json)


@limits.command(epilog=example("limits reset --user ada --tier pro", "limits reset the-service-spend-86400s"))
@click.argument("names", metavar="[LIMIT]...", nargs=-1)
@_whose
def reset(service: Service, whose: dict[str, Any], names: tuple[str, ...], as_json: bool) -> None:
    """Forget what was used of the limits that are named.

    Without a name, of all of the caller's own; a model's and the service's must be named.
    """
    _print(service.post("/admin/limits/reset", {**whose, "limits": list(names) or None}), as_json)


@limits.command(epilog=example("limits grant --user ada --tier pro tier-pro-requests-86400s 500"))
@click.argument("name", metavar="LIMIT")
@click.argument("amount")
@_whose
def grant(service: Service, whose: dict[str, Any], name: str, amount: str, as_json: bool) -> None:
    """Allow AMOUNT more of a limit (requests, tokens or US dollars), from now on for one of its windows."""
    _print(service.post("/admin/limits/grant", {**whose, "limit": name, "amount": amount}), as_json)


def _print(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    click.echo(f"Caller:  {told['caller'] or '-'}{', tier ' + told['tier'] if told['tier'] else ''}")
    click.echo(f"Model:   {told['model']}")
    print_limits(told["limits"], empty="No limits.")


def print_limits(limits: list[dict[str, Any]], *, empty: str) -> None:
    """Print a table of limits."""
    rows = [_row(limit) for limit in limits]
    print_table(rows, as_json=False, empty=empty, right=("used", "left"), whole=("name",))


def _row(limit: dict[str, Any]) -> dict[str, object]:
    """One limit, as a row of a table, from what the service says of it."""
    digits = "{:,.2f}" if limit["unit"] == "USD" else "{:,.0f}"
    frees = limit["frees_in"]
    return {
        "name": limit["name"],
        "limit": limit["rule"],
        "used": digits.format(limit["used"]),
        "left": digits.format(limit["left"]),
        "state": "open" if not limit["refuses"] else "REFUSES" if frees is None else f"REFUSES for {frees:,.0f} s",
    }
