"""`headgate knowledge`: looking after what documents are searched by."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli._shared import config_option, database, example

if TYPE_CHECKING:
    from headgate.config import Config
    from headgate.core.knowledge import Scope
    from headgate.core.seams import Shelf, VectorIndex
    from headgate.stores.opening import AnyDatabase


@click.group(epilog=example("knowledge copy --to qdrant"))
def knowledge() -> None:
    """Look after what documents are searched by."""


@knowledge.command(epilog=example("knowledge copy --to qdrant", "knowledge copy --to pgvector --collection handbook"))
@config_option
@click.option(
    "--to",
    "kind",
    required=True,
    type=click.Choice(["pgvector", "qdrant", "chroma", "pinecone"]),
    help="The index to fill; where it is stands in the configuration.",
)
@click.option("--collection", "-c", "names", multiple=True, help="Which; several times for several.  [default: all]")
@click.option("--tenant", default="", help="Whose.  [default: everybody's]")
def copy(config_path: Path | None, kind: str, names: tuple[str, ...], tenant: str) -> None:
    """Fill an index anew from the vectors that are kept with the documents.

    No model is asked. What is there of a collection is thrown away first, so this also mends an index. Then let
    `[knowledge] index`, or `indexes` for single collections, name it.
    """
    from headgate.config import load

    config = load(config_path)
    with database(config) as opened:
        count, passages = asyncio.run(_copy(config, opened, kind, names, tenant))
    click.echo(f"{count} collections with {passages} passages are in {kind}")


async def _copy(config: Config, opened: AnyDatabase, kind: str, names: tuple[str, ...], tenant: str) -> tuple[int, int]:
    from headgate.boot.indexes import open_index
    from headgate.boot.knowledge import open_shelf

    async with AsyncExitStack() as stack:
        shelf = await open_shelf(opened, stack)
        index = await open_index(config, kind, shelf, opened, stack)
        scopes = [
            scope
            for scope in await asyncio.to_thread(shelf.scopes)
            if (not names or scope.collection in names) and (not tenant or scope.tenant == tenant)
        ]
        if lost := set(names) - {scope.collection for scope in scopes}:
            raise click.ClickException(f"there is no collection {min(lost)!r}")
        return len(scopes), await _filled(shelf, index, scopes)


async def _filled(shelf: Shelf, index: VectorIndex, scopes: list[Scope]) -> int:
    """Copy them all, with a bar; how many passages they have."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from headgate.rag.indexes.copying import copied

    total = 0
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for scope in scopes:
            about = await asyncio.to_thread(shelf.collection, scope)
            task = progress.add_task(scope.collection, total=about.passages)
            async for done in copied(shelf, index, scope):
                progress.advance(task, done)
                total += done
    return total
