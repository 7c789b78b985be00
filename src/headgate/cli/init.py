"""`headgate init`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from headgate.cli._shared import example

FILES = {"headgate.toml": "headgate.toml", "prompts/system.md": "system.md", ".env.example": "env.example"}


@click.command(epilog=example("init", "init my-gateway"))
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=".", metavar="[DIR]")
def init(directory: Path) -> None:
    """Write a commented configuration to begin with.

    Makes headgate.toml, prompts/system.md and .env.example in DIR (default: here). What is there already stays as it
    is.
    """
    templates = resources.files("headgate.cli").joinpath("templates")
    for name, template in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(templates.joinpath(template).read_text("utf-8"))
        except FileExistsError:
            click.echo(f"kept     {path} (it was there already)")
        else:
            click.echo(f"written  {path}")
    click.echo("\nNext:")
    if directory != Path():
        click.echo(f"  cd {directory}")
    click.echo("  cp .env.example .env     # and put your provider's key in it")
    click.echo("  headgate check           # is everything in order?")
    click.echo('  headgate serve           # then: curl localhost:8000/chat -d \'{"message": "Hello"}\'')
