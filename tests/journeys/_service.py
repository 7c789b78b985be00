"""The whole service as its operator runs it: `headgate serve` in a process of its own, on a free port."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, overload

import headgate
from journeys._caller import PATIENCE, Answer, Headers, connected, request
from servers import free_port

SOURCE = str(Path(headgate.__file__).parent.parent)
ADMIN = "admin-key-of-these-tests"
_ADDRESS = re.compile(r"Headgate on http://127\.0\.0\.1:(\d+)")


class Service:
    """A running Headgate. `folder` holds its configuration and data, `log` what it printed."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process, log: Path) -> None:
        self.folder = folder
        self.process = process
        self._log = log
        self.port = 0

    @property
    def log(self) -> str:
        """What it printed so far."""
        return self._log.read_text("utf-8", "replace")

    @property
    def config(self) -> Path:
        """Its configuration's file."""
        return self.folder / "headgate.toml"

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(30):
            while not (found := _ADDRESS.search(self.log)):
                await self._alive()
            self.port = int(found[1])
            while True:
                try:
                    await self.call("GET", "/health")
                except OSError:
                    await self._alive()
                else:
                    return

    async def _alive(self) -> None:
        assert self.process.returncode is None, self.log
        await asyncio.sleep(0.02)

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        *,
        key: str = "",
        headers: Headers = (),
        patience: float = PATIENCE,
    ) -> Answer:
        """One request on a connection of its own."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        fields = [*(headers.items() if isinstance(headers, dict) else headers), ("Connection", "close")]
        if key:
            fields.append(("Authorization", f"Bearer {key}"))
        async with connected(self.port) as line:
            await line.send(request(method, path, data, fields))
            return await line.answer(patience, bodiless=method == "HEAD")

    async def get(self, path: str, **how: Any) -> Answer:
        """One GET."""
        return await self.call("GET", path, **how)

    async def post(self, path: str, body: bytes | dict[str, Any], **how: Any) -> Answer:
        """One POST."""
        return await self.call("POST", path, body, **how)

    async def entries(self, **like: Any) -> list[dict[str, Any]]:
        """The ledger's rows with these values, newest first, as the admin sees them."""
        answer = await self.get("/admin/entries?limit=1000", key=ADMIN)
        assert answer.status == 200, answer
        return [row for row in answer.json["entries"] if all(row[name] == value for name, value in like.items())]

    async def entry(self, answer: Answer | str) -> dict[str, Any]:
        """The one row of a request, by its answer or id."""
        request_id = answer if isinstance(answer, str) else answer.headers["x-request-id"]
        rows = await self.entries(request_id=request_id)
        assert len(rows) == 1, rows
        return rows[0]

    def stored(self) -> list[str]:
        """The request ids in the ledger's table, read behind the service's back."""
        base = sqlite3.connect(self.folder / ".headgate" / "headgate.db")
        try:
            return [row[0] for row in base.execute("SELECT request_id FROM entries")]
        finally:
            base.close()

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, patience: float = 15.0) -> int:
        """Its exit code."""
        async with asyncio.timeout(patience):
            return await self.process.wait()


@asynccontextmanager
async def serving(folder: Path, config: str, **environ: str) -> AsyncIterator[Service]:
    """A service with this configuration; at the end it must stop by itself when asked to."""
    (folder / "headgate.toml").write_text(config, "utf-8")
    log = folder / "log.txt"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE, "HEADGATE_ADMIN_KEY": ADMIN, **environ}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "headgate", "serve", "--port", "0", cwd=folder, env=env, stdout=out, stderr=out
        )
    service = Service(folder, process, log)
    try:
        await service.ready()
        yield service
        if process.returncode is None:
            service.terminate()
            assert await service.ended() == 0, service.log
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@overload
async def command(where: Service | Path, *words: str) -> str: ...
@overload
async def command(where: Service | Path, *words: str, code: Literal[True]) -> tuple[int, str]: ...
async def command(where: Service | Path, *words: str, code: bool = False) -> str | tuple[int, str]:
    """What `headgate …` prints beside a service, or in a folder; it must succeed, unless its exit code is wanted."""
    folder = where.folder if isinstance(where, Service) else where
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE}
    if isinstance(where, Path):  # it must not find somebody's service on the usual port
        env["HEADGATE__SERVER__PORT"] = str(free_port())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "headgate",
        *words,
        cwd=folder,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    if code:
        return process.returncode or 0, (out + errors).decode()
    assert process.returncode == 0, errors.decode()
    return out.decode()
