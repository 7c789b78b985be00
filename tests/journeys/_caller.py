"""A caller that holds nothing back: bytes out, bytes in, over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

PATIENCE = 10.0
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class Answer:
    """One response. `complete` says whether it ended as HTTP says it must; header names are in lower case."""

    def __init__(self, status: int, fields: list[tuple[str, str]], body: bytes, *, complete: bool) -> None:
        self.status = status
        self.fields = fields
        self.headers = dict(fields)
        self.body = body
        self.complete = complete

    def __repr__(self) -> str:
        return f"<{self.status} {'whole' if self.complete else 'cut'} {self.body[:600]!r}>"

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def frames(self) -> list[tuple[str, str]]:
        """The Server-Sent Events of the body, as (event name, data)."""
        return frames_of(self.body)

    @property
    def words(self) -> str:
        """What the model said, whichever surface and mode."""
        return words_of(self)


class Cut(Exception):
    """The connection ended before a response had begun."""


def frames_of(body: bytes) -> list[tuple[str, str]]:
    """The Server-Sent Events of a body that ends with whole ones; comments are left out."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        name = "".join(line.removeprefix("event:").strip() for line in lines if line.startswith("event:"))
        data = "\n".join(line.removeprefix("data:").strip() for line in lines if line.startswith("data:"))
        if lines:
            found.append((name, data))
    return found


def words_of(answer: Answer) -> str:
    """The text of an answer of any of the three surfaces."""
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        body = answer.json
        if "choices" in body:
            return body["choices"][0]["message"]["content"]
        if "content" in body:
            return "".join(block.get("text", "") for block in body["content"])
        return next(body[name] for name in ("response", "text", "output") if name in body)
    said = []
    for name, data in answer.frames:
        value = {} if data == "[DONE]" else json.loads(data)
        if name == "content_block_delta":
            said.append(value["delta"].get("text", ""))
        elif value.get("choices"):
            said.append(value["choices"][0].get("delta", {}).get("content") or "")
        elif not name and isinstance(value.get("delta"), str):
            said.append(value["delta"])
    return "".join(said)


def request(method: str, path: str, body: bytes | None = None, headers: Headers = (), *, version: str = "1.1") -> bytes:
    """A request's bytes; length and type are given where there is a body and `headers` don't say them."""
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    said = {name.lower() for name, _ in fields}
    if "host" not in said:
        fields.insert(0, ("Host", "headgate"))
    if body is not None and not said & {"content-length", "transfer-encoding"}:
        fields.append(("Content-Length", str(len(body))))
    if body is not None and "content-type" not in said:
        fields.append(("Content-Type", "application/json"))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode("latin-1") + (body or b"")


class Line:
    """One connection to the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, patience: float = PATIENCE) -> Answer:
        """The next response's status and headers, its body still to come. Raises Cut where there is none."""
        async with asyncio.timeout(patience):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise Cut(str(error)) from None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        pairs = [line.partition(":") for line in lines]
        fields = [(name.lower(), value.strip()) for name, _, value in pairs]
        return Answer(int(first.split(" ")[1]), fields, b"", complete=False)

    async def answer(self, patience: float = PATIENCE, *, bodiless: bool = False) -> Answer:
        """The next whole response, or as much of it as comes. Raises Cut, TimeoutError."""
        answer = await self.head(patience)
        if bodiless or answer.status < 200 or answer.status in {204, 304}:
            answer.complete = True
            return answer
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(patience):
                async for part in self.pieces(answer):
                    parts.append(part)  # noqa: PERF401 - what came before a cut is kept
            answer.complete = True
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            parts.append(getattr(error, "partial", b""))
        answer.body = b"".join(parts)
        return answer

    async def pieces(self, answer: Answer) -> AsyncIterator[bytes]:
        """The body as it comes. Raises IncompleteReadError, ConnectionError where it is cut."""
        if answer.headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readuntil(b"\r\n")
        elif "content-length" in answer.headers:
            yield await self.reader.readexactly(int(answer.headers["content-length"]))
        else:
            yield await self.reader.read()

    async def closed(self, patience: float = PATIENCE) -> bool:
        """Whether the service closes the connection, sending nothing more, in time."""
        try:
            async with asyncio.timeout(patience):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def hang_up(self) -> None:
        """Be gone, at once."""
        self.writer.transport.abort()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Line]:
    """A connection to a port of this machine, aborted at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    line = Line(reader, writer)
    try:
        yield line
    finally:
        line.hang_up()


_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


def statuses(data: bytes) -> list[int]:
    """The statuses of the responses that some bytes hold."""
    return [int(status) for status in _STATUS.findall(data)]
