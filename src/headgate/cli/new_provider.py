"""`headgate new-provider`: a provider to begin with, which works and is tested, for an invented vendor."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import click

from headgate.cli._shared import example

_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")


@click.command("new-provider", epilog=example("new-provider fireside", "new-provider fireside --in-tree"))
@click.argument("name")
@click.option("--in-tree", is_flag=True, help="Write into Headgate's own source tree, which is the working directory.")
def new_provider(name: str, in_tree: bool) -> None:
    """Write the skeleton of a provider and a test of it.

    NAME becomes its `kind` in the configuration. It is a package of its own with an entry point, in headgate-NAME, or
    with --in-tree one file among Headgate's own. The files say what to replace.
    """
    if not _NAME.fullmatch(name):
        raise click.UsageError(f'"{name}" cannot be a provider\'s name: lower-case letters, digits and _')
    if in_tree and not Path("src/headgate/providers").is_dir():
        raise click.UsageError("--in-tree is for Headgate's own source tree, where src/headgate/providers is")
    root = Path() if in_tree else Path(f"headgate-{name.replace('_', '-')}")
    files = _in_tree(name) if in_tree else _plug_in(name)
    taken = [str(root / path) for path in files if (root / path).exists()]
    if taken:
        raise click.ClickException(f"{taken[0]} is there already")
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        click.echo(f"written  {root / path}")
    click.echo("\nNext:")
    if not in_tree:
        click.echo(f"  cd {root} && pip install -e .")
    click.echo(f"  pytest {'tests/providers' if in_tree else 'tests'}/test_{name}.py")
    click.echo(f"  headgate replay tests/{'providers/' if in_tree else ''}transcripts/{name}.sse --kind {name}")


def _in_tree(name: str) -> dict[str, str]:
    return {
        f"src/headgate/providers/{name}.py": _template("acme.py", name),
        f"tests/providers/test_{name}.py": _template("test_acme.txt", name),
        f"tests/providers/transcripts/{name}.sse": _template("acme.sse", name),
    }


def _plug_in(name: str) -> dict[str, str]:
    test = _template("test_acme.txt", name)
    return {
        "pyproject.toml": _template("pyproject.toml", name),
        f"src/headgate_{name}/__init__.py": _template("acme.py", name),
        f"tests/test_{name}.py": test.replace(
            f"from headgate.providers import {name}", f"import headgate_{name} as {name}"
        ),
        f"tests/transcripts/{name}.sse": _template("acme.sse", name),
    }


def _template(file: str, name: str) -> str:
    text = resources.files("headgate.cli").joinpath("templates", "provider", file).read_text("utf-8")
    title = name.replace("_", " ").title().replace(" ", "")
    return text.replace("acme", name).replace("Acme", title).replace("ACME", name.upper())
