"""Waiting for documents that the service reads in the background, with a bar."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from headgate.cli._asking import Service


def bars() -> Progress:
    """Progress on standard error, which leaves standard output to the result."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


async def all_read(asked: Service, collection: str, number: int, progress: Progress) -> None:
    """Wait until a collection has nothing unfinished; what its documents wait for is said once."""
    task = progress.add_task("read", total=number)
    said: set[str] = set()
    while unfinished := (await asked.ask("GET", f"/collections/{collection}"))["unfinished"]:
        progress.update(task, completed=max(0, number - unfinished))
        for reason in await _reasons(asked, collection) - said:
            progress.console.print(f"documents wait: {reason}", markup=False, highlight=False, soft_wrap=True)
            said.add(reason)
        await asyncio.sleep(0.3)
    progress.update(task, completed=number)


async def _reasons(asked: Service, collection: str) -> set[str]:
    """Why documents wait, without how long: that changes all the time."""
    page = await asked.ask("GET", "/documents", params={"collection": collection, "status": "queued"})
    return {each["error"].partition(" Try again in ")[0] for each in page["documents"] if each["error"]}


async def failures(asked: Service, collection: str) -> dict[str, str]:
    """The documents of a collection that failed, and why."""
    failed: dict[str, str] = {}
    after: str | None = ""
    while after is not None:
        which = {"collection": collection, "status": "failed", "after": after, "limit": "1000"}
        page = await asked.ask("GET", "/documents", params=which)
        failed |= {each["id"]: each["error"] for each in page["documents"]}
        after = page["next"]
    return failed
