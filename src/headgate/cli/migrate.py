"""`headgate migrate`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli._shared import config_option, database, example

if TYPE_CHECKING:
    from headgate.config import Config
    from headgate.stores.opening import AnyDatabase


@click.command(epilog=example("migrate", "migrate --dry-run"))
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def migrate(config_path: Path | None, dry_run: bool) -> None:
    """Bring the database's schema up to date.

    The service does it by itself on SQLite; on PostgreSQL it refuses a schema that does not match and asks for this.
    """
    from headgate.config import load

    config = load(config_path)
    with database(config, migrate=False) as opened:
        names = opened.pending() if dry_run else opened.migrate()
        if not dry_run:
            _make_index(config, opened)
    for name in names:
        click.echo(f"{'to apply' if dry_run else 'applied'}  {name}")
    if not names:
        click.echo("The schema is up to date.")


def _make_index(config: Config, opened: AnyDatabase) -> None:
    """Make pgvector's table, where vectors are to be kept there. Raises Unavailable where the server cannot."""
    from headgate.boot.indexes import kinds, pgvector_of
    from headgate.config import text_of

    settings = config.knowledge
    wanted = settings.embedder and "pgvector" in kinds(config)
    if not wanted and not text_of(settings.pgvector.url):
        return
    with ExitStack() as stack:
        pgvector_of(config, opened, stack).migrate()
