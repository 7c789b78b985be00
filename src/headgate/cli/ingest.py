"""`headgate ingest`: files into a collection."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headgate.cli._shared import config_option, example, json_option, print_json
from headgate.cli._waiting import all_read, bars, failures

if TYPE_CHECKING:
    from headgate.cli._asking import Service

FILES = 50
"""Files of one request."""
BYTES = 4 * 2**20
"""Bytes of one request, unless a single file is larger."""

Batch = list[tuple[str, Path]]


@click.command(
    epilog=example(
        "ingest docs --collection handbook", "ingest report.pdf notes/ -c work --url https://llm.example.com"
    )
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@config_option
@click.option("--collection", "-c", default="default", show_default=True, help="Where they belong.")
@click.option("--concurrency", type=click.IntRange(1, 32), default=4, show_default=True, help="Requests at once.")
@click.option("--url", help="A running service.  [default: the configured address, else no service is needed]")
@click.option(
    "--key", envvar="HEADGATE_API_KEY", default="", help="API key or token for the service.  [env: HEADGATE_API_KEY]"
)
@json_option
def ingest(
    paths: tuple[Path, ...],
    config_path: Path | None,
    collection: str,
    concurrency: int,
    url: str | None,
    key: str,
    as_json: bool,
) -> None:
    """Load files and folders into the knowledge base.

    Text, Markdown, HTML, PDF and Word documents; others in a folder are passed over. What has not changed since the
    last time costs nothing. Ends with 1 where a file failed.
    """
    from headgate.config import load

    _check_name(collection)
    files = list(dict(found(paths)).items())
    if not files:
        raise click.ClickException("there are no files that can be read")
    result = asyncio.run(_ingest(load(config_path), files, collection, concurrency, url, key))
    if as_json:
        print_json(result)
    else:
        _tell(result)
    if result["failed"]:
        raise click.exceptions.Exit(1)


def _check_name(collection: str) -> None:
    """Raise for a name that no collection can have: once, and not for each file."""
    from headgate.surfaces.schemas_knowledge import NAME

    if not re.match(NAME, collection):
        what = f"no collection can be named {collection!r}: a name has up to 100 letters, digits, _, . and -, "
        what += "and begins with no . or -"
        raise click.BadParameter(what, param_hint="--collection")


def found(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """The files by their documents' ids: a file's name, with the way to it from a folder that was named."""
    from headgate.rag.reading import MEDIA

    for path in paths:
        if path.is_file():
            yield path.name, path
            continue
        root = path.resolve()
        for file in sorted(root.rglob("*")):
            way = file.relative_to(root)
            hidden = any(part.startswith(".") for part in way.parts)
            if file.suffix.lower() in MEDIA and not hidden and file.is_file():
                yield f"{root.name}/{way.as_posix()}", file


def batches(files: Batch) -> Iterator[Batch]:
    """The files in groups, each for one request."""
    some: Batch = []
    size = 0
    for name, path in files:
        more = path.stat().st_size
        if some and (len(some) >= FILES or size + more > BYTES):
            yield some
            some, size = [], 0
        some.append((name, path))
        size += more
    if some:
        yield some


async def _ingest(
    config: Any, files: Batch, collection: str, concurrency: int, url: str | None, key: str
) -> dict[str, Any]:
    from headgate.cli._asking import service

    counts: Counter[str] = Counter()
    failed: dict[str, str] = {}
    turns = asyncio.Semaphore(concurrency)
    async with service(config, url, key) as asked:
        with bars() as progress:
            sent = progress.add_task("sent", total=len(files))

            async def send(batch: Batch) -> list[dict[str, Any]]:
                async with turns:
                    kept = await _sent(asked, collection, batch, failed)
                progress.advance(sent, len(batch))
                return kept

            answers = await asyncio.gather(*(send(batch) for batch in batches(files)))
            kept = [document for answer in answers for document in answer]
            waiting = {document["id"] for document in kept if document["status"] in {"queued", "processing"}}
            failed |= {each["id"]: each["error"] for each in kept if each["status"] == "failed"}
            if waiting:
                await all_read(asked, collection, len(waiting), progress)
                later = await failures(asked, collection)
                failed |= {each: later[each] for each in waiting & later.keys()}
    counts.update(document["result"] for document in kept if document["id"] not in failed)
    return {"collection": collection, "files": len(files), **_NONE, **counts, "failed": failed}


_NONE = {"created": 0, "updated": 0, "unchanged": 0}


async def _sent(asked: Service, collection: str, batch: Batch, failed: dict[str, str]) -> list[dict[str, Any]]:
    """What became of a batch; where it was refused, each file for itself, so that one does not fail the others."""
    files = []
    for name, path in batch:
        try:
            files.append(("file", (name, await asyncio.to_thread(path.read_bytes))))
        except OSError as error:
            failed[name] = str(error.strerror)
    if not files:
        return []
    try:
        answer = await asked.ask("POST", "/documents", data={"collection": collection}, files=files)
    except click.ClickException as error:
        if len(batch) == 1:
            failed[batch[0][0]] = error.message
            return []
        return [each for one in batch for each in await _sent(asked, collection, [one], failed)]
    documents: list[dict[str, Any]] = answer["documents"]
    return documents


def _tell(result: dict[str, Any]) -> None:
    counts = ", ".join(f"{result[name]} {name}" for name in _NONE)
    click.echo(f"{result['files']} files into {result['collection']}: {counts}, {len(result['failed'])} failed")
    for name, why in sorted(result["failed"].items()):
        click.echo(f"  {name}: {why}", err=True)
