"""What several commands share: options, tables, times, and the database."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from headgate.config import Config
    from headgate.stores.opening import AnyDatabase

_UNFOLDED = 10_000

F = TypeVar("F", bound=Callable[..., Any])


def config_option(function: F) -> F:
    """`--config FILE`."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Configuration file.  [default: $HEADGATE_CONFIG, else headgate.toml if there is one]",
    )(function)


def json_option(function: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def example(*lines: str) -> str:
    """The end of a help text: examples, one a line."""
    return "\b\nExample:\n" + "\n".join(f"  headgate {line}" for line in lines)


class Seconds(click.ParamType[float]):
    """A span of time: 30s, 15m, 12h, 7d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        from headgate.config import duration

        try:
            return duration(value)
        except ValueError:
            self.fail(f'"{value}" is not a span of time: write 30s, 15m, 12h or 7d', param, ctx)


def print_json(value: object) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, indent=2, default=str))


def print_table(
    rows: Sequence[Mapping[str, object]],
    *,
    as_json: bool,
    empty: str,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print rows of the same keys; `right` names the columns of numbers, `empty` says that there are none.

    The columns of `whole` are never broken, so that what stands in them can be copied.
    """
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name.replace("_", " "), justify=justify, overflow="fold", no_wrap=name in whole)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    width = None if sys.stdout.isatty() else _UNFOLDED  # what reads a pipe wants a line to be a row
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(str(item) for item in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def moment(seconds: float | None) -> str | None:
    """A second since the epoch as UTC, ISO 8601."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@contextmanager
def database(config: Config, *, migrate: bool = True) -> Iterator[AnyDatabase]:
    """The configured database, with its schema up to date. Raises SchemaOutOfDate where only you may do that."""
    from headgate.stores.opening import make_ready, open_database

    opened = open_database(config.store.url, config.base_dir)
    try:
        if migrate:
            make_ready(opened)
        yield opened
    finally:
        opened.close()
