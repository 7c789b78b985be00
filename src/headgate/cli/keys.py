"""`headgate keys`: API keys in the database. A key's text is shown once, when it is made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headgate.cli._shared import Seconds, config_option, database, example, json_option, moment, print_json, print_table

if TYPE_CHECKING:
    from headgate.core.key import KeyRecord

_LOOK = 0.2
"""Seconds that a process may take to look for changed keys."""


@click.group(epilog=example("keys create --user ada --tier pro", "keys list", "keys revoke key_0123456789abcdef"))
def keys() -> None:
    """Create, list, rotate and revoke API keys."""


@keys.command(
    epilog=example("keys create --user ada --tier pro --expires 90d --model 'assistant' --limit requests=5/minute")
)
@config_option
@click.option("--user", default="", help="Who owns it; all keys of a user share that user's limits and data.")
@click.option("--tier", default="standard", show_default=True, help="What it may do: a tier of the configuration.")
@click.option("--name", default="", help="A note for yourself.")
@click.option("--expires", type=Seconds(), help="How long it is good: 12h, 90d.  [default: for ever]")
@click.option(
    "--model", "models", multiple=True, help="A model it may use, or a pattern; again for more.  [default: the tier's]"
)
@click.option("--limit", "limits", multiple=True, metavar="KIND=RULE", help="A limit of its own; again for more.")
@click.option("--scope", "scopes", multiple=True, help="A scope; again for more.")
@json_option
def create(
    config_path: Path | None,
    user: str,
    tier: str,
    name: str,
    expires: float | None,
    models: tuple[str, ...],
    limits: tuple[str, ...],
    scopes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a key and show its text, this once."""
    from headgate.config import load
    from headgate.stores.keys import KeyStore

    config = load(config_path)
    if tier not in config.tiers:
        raise click.UsageError(f'there is no tier "{tier}"; there are: {", ".join(config.tiers)}')
    rules = tuple(_rule(limit) for limit in limits)
    with database(config) as opened:
        text, record = KeyStore(opened).create(
            user=user,
            tier=tier,
            name=name,
            expires=None if expires is None else time.time() + expires,
            models=models or None,
            limits=rules,
            scopes=frozenset(scopes),
        )
    _show(text, record, as_json)


@keys.command("list", epilog=example("keys list --user ada", "keys list --prefix hg_x7Gp --json"))
@config_option
@click.option("--user", default="", help="Only this user's.")
@click.option("--prefix", default="", help="Only those whose text begins so.")
@json_option
def list_keys(config_path: Path | None, user: str, prefix: str, as_json: bool) -> None:
    """List the keys, newest first, by the beginning of their text."""
    from headgate.config import load
    from headgate.stores.keys import KeyStore

    with database(load(config_path)) as opened:
        records = KeyStore(opened).list(prefix=prefix, user=user)
    print_table(
        [_row(record) for record in records], as_json=as_json, empty="There are no keys.", whole=("id", "prefix")
    )


@keys.command(epilog=example("keys revoke key_0123456789abcdef", "keys revoke hg_x7GpQ2aB"))
@config_option
@click.argument("key")
def revoke(config_path: Path | None, key: str) -> None:
    """End a key for good, within a second on every replica. KEY is its id or the beginning of its text."""
    from headgate.config import load
    from headgate.stores.keys import KeyStore

    with database(load(config_path)) as opened:
        store = KeyStore(opened)
        record = store.revoke(_id(store, key))
    _settle()
    click.echo(f"{record.id} ({record.prefix}...) is revoked.")


@keys.command(epilog=example("keys rotate key_0123456789abcdef --grace 1h"))
@config_option
@click.argument("key")
@click.option("--grace", type=Seconds(), help="How long the old text works beside the new.  [default: not at all]")
@json_option
def rotate(config_path: Path | None, key: str, grace: float | None, as_json: bool) -> None:
    """Give a key a new text and show it, this once. KEY is its id or the beginning of its text."""
    from headgate.config import load
    from headgate.stores.keys import KeyStore

    with database(load(config_path)) as opened:
        store = KeyStore(opened)
        text, record = store.rotate(_id(store, key), grace or 0.0)
    _show(text, record, as_json)


def _id(store: Any, key: str) -> str:
    """The id of the one key that is meant."""
    if not key.startswith("hg_"):
        return key
    found = store.list(prefix=key)
    if len(found) != 1:
        raise click.ClickException(
            f"{len(found)} keys begin with {key[:11]}: name one by its id (`headgate keys list`)"
        )
    return str(found[0].id)


def _rule(text: str) -> tuple[str, str]:
    from headgate.core.limit import parse_rule

    kind, _, rule = text.partition("=")
    try:
        parse_rule(kind, rule)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--limit") from None
    return kind, rule


def _row(record: KeyRecord) -> dict[str, object]:
    expired = record.expires is not None and record.expires <= time.time()
    state = "revoked" if record.revoked else "expired" if expired else "good"
    return {
        "id": record.id,
        "prefix": record.prefix,
        "user": record.user,
        "tier": record.tier,
        "name": record.name,
        "state": state,
        "created": moment(record.created),
        "expires": moment(record.expires),
        "models": None if record.models is None else list(record.models),
        "limits": [f"{kind}={rule}" for kind, rule in record.limits],
        "scopes": sorted(record.scopes),
    }


def _show(text: str, record: KeyRecord, as_json: bool) -> None:
    if as_json:
        print_json({"key": text, **_row(record)})
    else:
        click.echo(text)
        click.echo(f"This is {record.id}, tier {record.tier}. It is not shown again: keep it now.", err=True)
    _settle()


def _settle() -> None:
    """Wait until running processes have looked for changed keys: a script's next line may use the new one."""
    from headgate.access.keys import POLL

    time.sleep(POLL + _LOOK)
