"""The project's documents, as the house tests read them: Markdown's links, headings and fenced blocks."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .source import ROOT, relative, tracked

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of a document; `next` is the output shown below it, if there is one."""

    where: str
    language: str
    text: str
    next: str = ""


def documents() -> list[Path]:
    """Every document of the project; texts of other people's are not."""
    found = [path for path in tracked() if path.suffix == ".md" and "src" not in path.relative_to(ROOT).parts]
    assert found
    return found


def blocks(path: Path, *languages: str) -> Iterator[Block]:
    """The fenced blocks of a document in these languages."""
    text = path.read_text("utf-8")
    for match in FENCE.finditer(text):
        if match[1] in languages:
            after = re.match(r"\s*```(?:json|text)\n(.*?)^```$", text[match.end() :], re.MULTILINE | re.DOTALL)
            line = text.count("\n", 0, match.start()) + 1
            yield Block(f"{relative(path)}:{line}", match[1], match[2], after[1] if after else "")


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", path.read_text("utf-8"))


def anchors(path: Path) -> set[str]:
    """What links into a document may name: its headings, as forges write them."""
    return {slug(heading) for heading in HEADING.findall(prose(path))}


def slug(heading: str) -> str:
    """A heading's anchor: lower case, without punctuation, dashes for spaces."""
    kept = (c for c in heading.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def broken_links(path: Path) -> list[str]:
    """The links of a document that lead nowhere in the repository; addresses elsewhere are not followed."""
    broken = []
    for link in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{relative(path)}: {link}")
    return broken
