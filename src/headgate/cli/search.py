"""`headgate search`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from headgate.cli._shared import config_option, example, json_option, print_json

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)))


@click.command(epilog=example('search "who opens the gate?" --collection handbook', "search gates --json"))
@click.argument("query")
@config_option
@click.option("--collection", "-c", "collections", multiple=True, help="Where to look; several times for several.")
@click.option("--top-k", "-k", type=click.IntRange(1, 100), default=5, show_default=True, help="How many results.")
@click.option(
    "--mode",
    type=click.Choice(["hybrid", "lexical", "dense"]),
    default="hybrid",
    show_default=True,
    help="By words and vectors, or by one of them.",
)
@click.option("--url", help="A running service.  [default: the configured address, else no service is needed]")
@click.option(
    "--key", envvar="HEADGATE_API_KEY", default="", help="API key or token for the service.  [env: HEADGATE_API_KEY]"
)
@json_option
def search(
    query: str,
    config_path: Path | None,
    collections: tuple[str, ...],
    top_k: int,
    mode: str,
    url: str | None,
    key: str,
    as_json: bool,
) -> None:
    """Find passages in the knowledge base.

    Without a collection, in all of yours. The number is the similarity, from 0 to 1.
    """
    from headgate.config import load

    body = {"query": query, "top_k": top_k, "mode": mode} | ({"collections": collections} if collections else {})
    answer = asyncio.run(_asked(load(config_path), body, url, key))
    if as_json:
        print_json(answer)
        return
    if not answer["results"]:
        click.echo("Nothing found.")
    for result in answer["results"]:
        place = " > ".join(dict.fromkeys([result["title"], *result["path"]])).translate(_CONTROLS)
        where = f"{result['collection']}/{result['document_id']}:{result['start']}-{result['end']}".translate(_CONTROLS)
        click.secho(f"{result['similarity_score']:.2f}  {place}", bold=True)
        click.echo(f"      {where}\n      {result['content_preview'].translate(_CONTROLS)}")


async def _asked(config: Any, body: dict[str, Any], url: str | None, key: str) -> Any:
    from headgate.cli._app import service

    async with service(config, url, key) as asked:
        return await asked.ask("POST", "/search", json=body)
