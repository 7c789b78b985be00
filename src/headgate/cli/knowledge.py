"""`headgate knowledge`: looking after what documents are searched by."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headgate.cli._shared import config_option, database, example
from headgate.cli._waiting import all_read, bars, failures

if TYPE_CHECKING:
    from headgate.config import Config
    from headgate.core.knowledge import Scope
    from headgate.core.seams import Shelf, VectorIndex
    from headgate.stores.opening import AnyDatabase


@click.group(epilog=example("knowledge embed --collection handbook", "knowledge copy --to qdrant"))
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
    from headgate.rag.indexes.copying import copied

    total = 0
    with bars() as progress:
        for scope in scopes:
            about = await asyncio.to_thread(shelf.collection, scope)
            task = progress.add_task(scope.collection, total=about.passages)
            async for done in copied(shelf, index, scope):
                progress.advance(task, done)
                total += done
    return total


@knowledge.command(
    epilog=example("knowledge embed --collection handbook", "knowledge embed -c work --url https://llm.example.com")
)
@config_option
@click.option("--collection", "-c", required=True, help="Which one of yours.")
@click.option("--url", help="A running service.  [default: the configured address, else no service is needed]")
@click.option(
    "--key", envvar="HEADGATE_API_KEY", default="", help="API key or token for the service.  [env: HEADGATE_API_KEY]"
)
def embed(config_path: Path | None, collection: str, url: str | None, key: str) -> None:
    """Make a collection's vectors anew with the model that is configured now.

    Until they are made, what has none yet is found by its words. Where no model is configured any more, the vectors are
    dropped. Ends with 1 where a document failed.
    """
    from headgate.config import load

    model, number, failed = asyncio.run(_embedded(load(config_path), collection, url, key))
    if model:
        click.echo(f"{number} documents of {collection} with vectors of {model}, {len(failed)} failed")
    else:
        click.echo(f"{collection} has no vectors any more: no embedding model is configured")
    for name, why in sorted(failed.items()):
        click.echo(f"  {name}: {why}", err=True)
    if failed:
        raise click.exceptions.Exit(1)


async def _embedded(config: Config, collection: str, url: str | None, key: str) -> tuple[str, int, dict[str, str]]:
    """The model, how many documents have its vectors, and those that failed now and had not failed before."""
    from headgate.cli._asking import service

    async with service(config, url, key) as asked:
        before = await failures(asked, collection)
        begun: dict[str, Any] = await asked.ask("POST", f"/collections/{collection}/embed")
        with bars() as progress:
            await all_read(asked, collection, begun["unfinished"], progress)
        failed = {each: why for each, why in (await failures(asked, collection)).items() if each not in before}
        return begun["embedder"] or "", begun["documents"] - len(before) - len(failed), failed
