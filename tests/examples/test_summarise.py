"""The example is run as its first lines say, in a process of its own."""

import asyncio
import os
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headgate.testing import Upset, chunk, stream_head, whole
from journeys._caller import connected, request
from journeys._service import SOURCE
from journeys._upstreams import Upstreams, frames, said

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIG = """
[access]
api_keys = "key-of-ann:ann:small, key-of-bob:bob"
[tiers.small]
requests = "2/hour"
[models.clever]
targets = ["openai/clever"]
"""


@asynccontextmanager
async def running(folder, config):
    (folder / "headgate.toml").write_text(config)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE}
    words = ["-m", "uvicorn", "--app-dir", str(EXAMPLES), "summarise:app", "--port", "0", "--no-proxy-headers"]
    log = folder / "log.txt"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=folder, env=env, stdout=out, stderr=out
        )
    try:
        async with asyncio.timeout(30):
            while not (found := re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text())):
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield int(found[1])
    finally:
        process.terminate()
        await process.wait()


async def post(port, path, body, key):
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"} if key else {"Connection": "close"}
    async with connected(port) as line:
        await line.send(request("POST", path, body, headers))
        return await line.answer()


@pytest.mark.anyio
async def test_it_summarises_streams_and_keeps_the_rules(tmp_path):
    upstreams = Upstreams()
    async with upstreams.server:
        good = said("openai", streamed=False)
        upstreams.model(good, said("openai", streamed=True), good, name="clever")
        async with running(tmp_path, CONFIG + upstreams.config) as port:
            passage = b'{"text": "Call me Ishmael."}'
            answer = await post(port, "/summarise", passage, "key-of-ann")
            assert answer.json == {"summary": "Hello there", "model": "clever", "cost_usd": None, "asked_by": "ann"}
            seen = upstreams.requests("clever")[0].body
            assert b"at most three sentences" in seen
            assert b"Call me Ishmael." in seen
            assert (await post(port, "/summarise/stream", passage, "key-of-ann")).text == "Hello there"
            for path in ("/summarise", "/summarise/stream"):
                assert (await post(port, path, passage, "key-of-ann")).status == 429
                assert (await post(port, path, passage, "")).status == 401
                assert (await post(port, path, b'{"text": ""}', "key-of-bob")).status == 422
            assert (await post(port, "/chat", b'{"message": "hi", "model": "clever"}', "key-of-bob")).status == 200


@pytest.mark.anyio
async def test_it_is_honest_about_an_upstream_that_fails(tmp_path):
    upstreams = Upstreams()
    async with upstreams.server:
        broken = [stream_head(), chunk(frames("openai", "Hello")[0]), 0.05, Upset.CLOSE]
        upstreams.model([whole(b"{}", 401)], [whole(b"{}", 401)], broken, name="clever")
        async with running(tmp_path, CONFIG + upstreams.config) as port:
            for path in ("/summarise", "/summarise/stream"):
                answer = await post(port, path, b'{"text": "x"}', "key-of-bob")
                assert (answer.status, answer.json["error_code"]) == (502, "upstream_auth")
            answer = await post(port, "/summarise/stream", b'{"text": "x"}', "key-of-bob")
            assert answer.text.startswith("Hello\n[the summary broke off")
