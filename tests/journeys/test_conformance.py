"""Recorded exchanges with real providers, played through the whole service: every surface says what was recorded.

HEADGATE_CONFORMANCE names the folder that has the recordings, a server that replays them (`replay.py`) and a judge of
what comes out (`conform.py`); they are not part of this project.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headgate.config import load
from headgate.surfaces.table import endpoints
from journeys._caller import connected
from journeys._service import serving

BESIDE = Path(__file__).parents[2].parent / "shared" / "conformance"
FOLDER = Path(os.environ.get("HEADGATE_CONFORMANCE", BESIDE))

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not (FOLDER / "replay.py").exists(), reason=f"no recorded exchanges in {FOLDER}"),
]

KEY = "key-of-ann"
CONFIG = f"""
[access]
anonymous = false
api_keys = "{KEY}:ann:open"
[tiers.open]
"""
PATHS = {"openai": "/v1", "responses": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "mistral": "/v1"}
KINDS = {"responses": ("openai", "chats = false")}
ROUTES = {
    "openai-chat": "openai",
    "openai-chat:azure": "azure",
    "openai-chat:deepseek": "deepseek",
    "openai-chat:groq": "groq",
    "openai-chat:huggingface": "huggingface",
    "openai-chat:openrouter": "openrouter",
    "openai-chat:xai": "xai",
    "openai-completions": "openai",
    "openai-responses": "responses",
    "openai-embeddings": "openai",
    "openai-embeddings:mistral": "mistral",
    "anthropic-messages": "anthropic",
    "anthropic-count": "anthropic",
    "gemini-generate": "gemini",
    "gemini-embed": "gemini",
    "mistral-chat": "mistral",
    "cohere-chat": "cohere",
    "cohere-embed": "cohere",
    "ollama-chat": "ollama",
    "ollama-embed": "ollama",
}
SURFACES = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
SPLITS = {
    "plain": "",
    "bytes": "--bytes-1",
    "random": "--rand-5--crlf",
    "crlf": "--crlf",
    "dressed": "--bom--comment--nodone",
}
NEEDS = {
    "openai-completions": "/v1/completions",
    "openai-embeddings": "/v1/embeddings",
    "gemini-embed": "/v1/embeddings",
    "cohere-embed": "/v1/embeddings",
    "ollama-embed": "/v1/embeddings",
    "anthropic-count": "/v1/messages/count_tokens",
}
ARGUED = {
    # Recorded as 400 "API key not valid". The key is Headgate's own: the caller did nothing wrong, and reads 502.
    "gemini-049",
}


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def replaying():
    """The recordings behind a port of their own."""
    port = free_port()
    command = [sys.executable, str(FOLDER / "replay.py"), "--port", str(port), "--cases", str(FOLDER / "cases")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(30):
            while True:
                assert process.returncode is None
                try:
                    async with connected(port):
                        break
                except OSError:
                    await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture(scope="module")
async def replay(anyio_backend):
    async with replaying() as url:
        yield url


@pytest.fixture(scope="module")
async def service(replay, tmp_path_factory):
    tables = []
    for name in sorted(set(ROUTES.values())):
        kind, more = KINDS.get(name, (name, ""))
        base_url = f"{replay}{PATHS.get(name, '')}"
        tables.append(f'[providers.{name}]\nkind = "{kind}"\napi_key = "k"\nbase_url = "{base_url}"\n{more}\n')
    async with serving(tmp_path_factory.mktemp("conformance"), CONFIG + "\n".join(tables)) as running:
        yield running


async def judged(replay, service, folder, surface, split):
    """What the judge says of every exchange on this surface."""
    served = endpoints(load())
    routes = {name: kind for name, kind in ROUTES.items() if NEEDS.get(name.partition(":")[0], "") in ("", *served)}
    (folder / "routes.json").write_text(json.dumps(routes))
    out = folder / "result.json"
    command = [sys.executable, str(FOLDER / "conform.py"), "--base", f"http://127.0.0.1:{service.port}", "--key", KEY]
    command += ["--routes", str(folder / "routes.json"), "--surface", surface, "--replay", replay, "--out", str(out)]
    command += [f"--suffix={split}", "--jobs", "4", "-v", "0", "--cross"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    return json.loads(out.read_text())


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_surface_says_what_was_recorded(replay, service, tmp_path, surface, split):
    if SURFACES[surface] not in endpoints(load()):
        pytest.skip(f"{SURFACES[surface]} is not served yet")
    told = await judged(replay, service, tmp_path, surface, split)
    assert sum(case["result"] == "pass" for case in told) > len(told) / 2
    failed = {
        case["id"]: {name: said for name, (verdict, said) in case["checks"].items() if verdict == "fail"}
        for case in told
        if case["result"] == "fail" and case["id"] not in ARGUED
    }
    assert failed == {}
