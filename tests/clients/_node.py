"""Programs for Node: what is installed beside these tests by `python3 dev.py test-clients`."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(
    NODE is None or not (HERE / "node_modules").is_dir(), reason="needs Node's clients: python3 dev.py test-clients"
)


@asynccontextmanager
async def running(script: str, *arguments: str) -> AsyncIterator[str]:
    """A program that serves until it is ended; the first line that it prints is given."""
    process = await asyncio.create_subprocess_exec(
        str(NODE), script, *arguments, cwd=HERE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        assert line, f"{script} ended"
        yield line.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def check(script: str, **environ: str) -> None:
    """Run a file of `node:test` tests; what it prints is told where one fails."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", ""), **environ}
    process = await asyncio.create_subprocess_exec(
        *(str(NODE), "--test", "--test-reporter=spec", script),
        cwd=HERE,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(120):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, told.decode()
