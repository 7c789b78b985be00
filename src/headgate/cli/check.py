"""`headgate check`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from headgate.cli._shared import config_option, example, json_option, print_json


@click.command(epilog=example("check", "check --config prod.toml --json"))
@config_option
@json_option
def check(config_path: Path | None, as_json: bool) -> None:
    """Validate the configuration and print it resolved.

    Every mistake is told with its key, file and line, and all of them at once. Secrets are looked up and never shown.
    """
    from headgate.boot.opening import check as check_parts
    from headgate.config import load
    from headgate.providers.kinds import options_of

    config = load(config_path)
    options_of(config)
    check_parts(config)
    if as_json:
        print_json(config.resolved())
        return
    click.echo(f"# {config.path or 'No configuration file: these are the defaults and what the environment says.'}")
    click.echo("\n".join(toml(config.resolved())))


def toml(table: dict[str, Any], name: str = "") -> Iterator[str]:
    """A plain tree as TOML; what is not set is left out."""
    values = {key: value for key, value in table.items() if not isinstance(value, dict) and value is not None}
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    if name and (values or not tables):
        yield f"\n[{name}]"
    yield from (f"{_key(key)} = {_value(value)}" for key, value in values.items())
    for key, value in tables.items():
        yield from toml(value, f"{name}.{_key(key)}" if name else _key(key))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return f"{{ {', '.join(pairs)} }}"
    return json.dumps(value, ensure_ascii=False)
