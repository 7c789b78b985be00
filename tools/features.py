"""Writes docs/reference/features.md by playing the contract suite's transcripts: `python tools/features.py`.

A feature is ticked where every check of the suite passes, in this process, now. Nothing is written while one fails.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from types import ModuleType

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from contracts._features import FAILURES, FEATURES  # noqa: E402 - the suite is found by then
from contracts._suite import callers, own, playable, result  # noqa: E402
from contracts._vendor import Vendor  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "features.md"
CELLS = {"works": "✓", "refused": "\u2013", "never": ""}

INTRO = """\
# Features

What callers can ask of each provider and be told by it, through every surface. The tables are the results of the
contract suite (`tests/contracts`): for each tick the vendor is asked in its own words, and its answer, whole and
streamed, comes out of every surface that has words for it as it went in. This page is generated from the code.

- ✓ works.
- {refused} the vendor has no way to do it: the caller gets an error that names the field, or the next target is tried.
- An empty cell: the vendor's answers never say it, or the surface has no words for it.

A caller who speaks the provider's own dialect is passed on: whatever else the vendor's API has works too, known here or
not. The presets speak OpenAI's dialect and are played as `openai`; what each of those servers really supports is for
its vendor to say. They are
{presets}.
"""


def page() -> str:
    """The whole page, as Markdown. Raises AssertionError where a check fails."""
    return asyncio.run(_page())


async def _page() -> str:
    vendors = own()
    presets = fill(", ".join(f"`{name}`" for name in sorted(playable().keys() - vendors.keys())), 120)
    cells = {name: {f: CELLS[await result(name, vendor, f)] for f in FEATURES} for name, vendor in vendors.items()}
    lines = [
        INTRO.format(presets=presets, refused=CELLS["refused"]),
        *_providers(cells),
        *_surfaces(),
        *_specials(vendors),
        *_failures(),
    ]
    return "\n".join(lines) + "\n"


def _table(heads: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"| --- |{' :---: |' * (len(heads) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _providers(cells: dict[str, dict[str, str]]) -> Iterator[str]:
    yield "## Providers\n"
    rows = [[feature.title, *(cells[kind][name] for kind in cells)] for name, feature in FEATURES.items()]
    yield from _table(["", *(f"`{kind}`" for kind in cells)], rows)


def _surfaces() -> Iterator[str]:
    yield "## Surfaces\n"
    yield "`/complete`, `/stream` and `/generate` are as `/chat`. On the surfaces of words alone a refusal is words.\n"
    shown = list(callers().values())
    rows = [[feature.title, *(_words(caller, name) for caller in shown)] for name, feature in FEATURES.items()]
    yield from _table(["", *(f"{caller.TITLE} `{caller.PATH}`" for caller in shown)], rows)


def _words(caller: ModuleType, feature: str) -> str:
    return CELLS["works" if feature in caller.QUESTIONS else "never"]


def _specials(vendors: dict[str, Vendor]) -> Iterator[str]:
    yield "## What only one vendor has\n"
    yield "It reaches callers of the vendor's own dialect as it is, and never looks like a call of their own tools.\n"
    for name, vendor in vendors.items():
        if vendor.special:
            told = ", ".join(special.replace("_", " ") for special in vendor.special)
            yield f"- `{name}`: {told}"
    yield ""


def _failures() -> Iterator[str]:
    yield "## Failures\n"
    yield "Every provider's words for these are understood, before an answer and in the middle of a stream; see"
    yield "[errors](errors.md) for what callers read.\n"
    yield from (f"- it {failure.title}: `{failure.fault.code}`" for failure in FAILURES.values())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
