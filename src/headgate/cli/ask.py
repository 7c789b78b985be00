"""`headgate ask`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from headgate.cli._shared import config_option, example, json_option, print_json

# What could steer the terminal is left out of the words of models and documents.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_LINE = dict.fromkeys((*range(32), *range(127, 160)), " ")


@click.command(
    epilog=example(
        'ask "When does the library open in winter?" --collection handbook',
        'ask --recipe support --input product=gates "How do I open it?"',
    )
)
@click.argument("question")
@config_option
@click.option("--collection", "-c", "collections", multiple=True, help="Where to look; several times for several.")
@click.option("--top-k", "-k", type=click.IntRange(1, 50), help="Most passages to answer from.")
@click.option("--min-similarity", type=click.FloatRange(0, 1), help="Similarity below which a passage is no source.")
@click.option("--model", help="A public name or provider/model.  [default: the default model]")
@click.option("--evaluate", is_flag=True, help="Have the sources and the answer graded.")
@click.option("--recipe", help="Ask by one of the service's recipes.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input of the recipe.")
@click.option("--url", help="A running service.  [default: the configured address, else no service is needed]")
@click.option(
    "--key", envvar="HEADGATE_API_KEY", default="", help="API key or token for the service.  [env: HEADGATE_API_KEY]"
)
@json_option
def ask(
    question: str,
    config_path: Path | None,
    recipe: str | None,
    inputs: tuple[str, ...],
    url: str | None,
    key: str,
    as_json: bool,
    **said: Any,
) -> None:
    """Ask the knowledge base.

    The answer comes as the model speaks; then the passages that it was made from, by their numbers. Without a
    collection, all of yours are searched.
    """
    from headgate.config import load

    body = {"question": question, **{name: value for name, value in said.items() if value}}
    if inputs:
        body["input"] = dict(_pair(text) for text in inputs)
    path = f"/recipes/{recipe}" if recipe else "/ask"
    asyncio.run(_ask(load(config_path), path, body, url, key, as_json=as_json))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f'"{text}" is not NAME=VALUE', param_hint="--input")
    return name, value


async def _ask(config: Any, path: str, body: dict[str, Any], url: str | None, key: str, *, as_json: bool) -> None:
    from headgate.cli._asking import service

    async with service(config, url, key) as asked:
        if as_json:
            print_json(await asked.ask("POST", path, json=body))
            return
        sources: dict[str, Any] = {}
        done: dict[str, Any] | None = None
        async for name, data in asked.events(path, {**body, "stream": True}):
            if name == "sources":
                sources = json.loads(data)
            elif name == "done":
                done = json.loads(data)
            elif not name and data != b"[DONE]":
                click.echo(json.loads(data)["delta"].translate(_CONTROLS), nl=False)
    click.echo()
    if done is None:
        raise click.ClickException("the answer was cut off")
    _tell(sources, done)


def _tell(found: dict[str, Any], done: dict[str, Any]) -> None:
    for source in found.get("sources", ()):
        place = " > ".join(dict.fromkeys([source["title"], *source["path"]])).translate(_LINE)
        where = f"{source['collection']}/{source['document_id']}:{source['start']}-{source['end']}".translate(_LINE)
        preview = " ".join(source["content_preview"].translate(_LINE).split())
        click.secho(f"\n[{source['n']}] {place}", bold=True)
        click.echo(f"    {where}, similarity {source['similarity_score']:.2f}\n    {preview}")
    if found.get("sources_dropped"):
        click.echo(f"\n{len(found['sources_dropped'])} more passages had no room in the prompt.", err=True)
    for name, grade in (done.get("evaluation") or {}).items():
        score = "none" if grade["score"] is None else f"{grade['score']:.1f}"
        click.echo(f"{name.replace('_', ' ')}: {score} {grade['reason'].translate(_LINE)}".rstrip(), err=True)
