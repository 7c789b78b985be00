"""`headgate migrate`."""

from __future__ import annotations

from pathlib import Path

import click

from headgate.cli._shared import config_option, database, example


@click.command(epilog=example("migrate", "migrate --dry-run"))
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def migrate(config_path: Path | None, dry_run: bool) -> None:
    """Bring the database's schema up to date.

    The service does it by itself on SQLite; on PostgreSQL it refuses a schema that does not match and asks for this.
    """
    from headgate.config import load

    with database(load(config_path), migrate=False) as opened:
        names = opened.pending() if dry_run else opened.migrate()
    for name in names:
        click.echo(f"{'to apply' if dry_run else 'applied'}  {name}")
    if not names:
        click.echo("The schema is up to date.")
