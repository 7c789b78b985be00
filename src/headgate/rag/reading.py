"""Reading files: what they are, and their text. What needs a parser is parsed in a process of its own, within bounds.

A hostile file costs that process its life, and the document its state: nothing else.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from contextlib import suppress
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from headgate.core.faults import InvalidField

PLAIN = ("text/markdown", "text/plain")
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MEDIA = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".rst": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".pdf": "application/pdf",
    ".docx": DOCX,
}
"""What is read, by the end of a file's name."""

_CHILD = Path(__file__).with_name("_reader.py")
_NUL = re.compile("[\0]")


class Unreadable(Exception):
    """A file that cannot be read, in words for whoever sent it."""


class Read(Struct, frozen=True):
    """A file's text, and its title where it has one of its own."""

    text: str
    title: str = ""


class _Answer(Struct):
    text: str = ""
    title: str = ""
    error: str = ""


class Reading(Struct, frozen=True, kw_only=True):
    """The bounds of one file: seconds of work, bytes of memory, pages, characters of text."""

    seconds: float = 60.0
    memory: int = 1024 * 2**20
    pages: int = 2000
    most: int = 10_000_000

    async def read(self, media: str, body: bytes) -> Read:
        """The text. Raises Unreadable."""
        if media in PLAIN:
            return plain(body, self.most)
        if media not in MEDIA.values():
            raise Unreadable(f"files of the type {media[:100]} are not read")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(_CHILD),
            media,
            *map(str, (int(self.seconds) + 1, self.memory, self.pages, self.most)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            cwd="/",
        )
        try:
            async with asyncio.timeout(self.seconds):
                answer = await _spoken(process, body, 8 * self.most)
        except TimeoutError:
            raise Unreadable(f"the file takes longer than {self.seconds:g} s to read") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return _read(answer)


async def _spoken(process: asyncio.subprocess.Process, body: bytes, most: int) -> bytes:
    """What the process says of the body, as far as it is not too much."""
    assert process.stdin is not None  # noqa: S101 - asked for
    assert process.stdout is not None  # noqa: S101 - asked for
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    answer = bytearray()
    while chunk := await process.stdout.read(65_536):
        answer += chunk
        if len(answer) > most:
            return b""
    await process.wait()
    return bytes(answer)


def _read(answer: bytes) -> Read:
    try:
        said = msgspec.json.decode(answer, type=_Answer)
    except msgspec.DecodeError:
        raise Unreadable("the file cannot be read within the bounds of memory and time") from None
    if said.error:
        raise Unreadable(said.error)
    return Read(_NUL.sub(" ", said.text), said.title)


def plain(body: bytes, most: int) -> Read:
    """Text that is itself. Raises Unreadable for what is none."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        coding = "utf-16"
    else:
        coding = "utf-8-sig"
        if b"\0" in body:
            raise Unreadable("this is no text: it has zero bytes")
    try:
        text = body.decode(coding)
    except UnicodeDecodeError as error:
        raise Unreadable(f"this is no text in UTF-8: byte {error.start} cannot be read") from None
    if len(text) > most:
        raise Unreadable(f"the file has more than {most} characters of text")
    return Read(text)


def media_of(name: str, said: str = "") -> str:
    """What a file is, by its name and then by what its sender says. Raises InvalidField."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    kind = said.partition(";")[0].strip().lower()
    media = MEDIA.get(suffix) or (kind if kind in MEDIA.values() else "")
    if not media:
        known = ", ".join(MEDIA)
        raise InvalidField(f"{named(name)}: files of this type are not read; known are {known}", field="file")
    return media


def named(name: str) -> str:
    """A file's name without its folders and without what could steer a terminal."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(each for each in last if each.isprintable())[:200] or "file"
