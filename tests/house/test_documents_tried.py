"""The commands that the documents show are run as they stand, against a real service, and must answer as shown."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .documents import Block, blocks, documents
from .source import ROOT

ADMIN = "admin-key-of-these-tests"
LISTENING = re.compile(r"http://127\.0\.0\.1:(\d+)")
VARYING = [(r"req_[0-9a-f]{24}", "req_"), (r'"latency_ms":[0-9.]+', '"latency_ms":0')]
ENV = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}
ANYONE = {
    "HEADGATE_ADMIN_KEY": ADMIN,
    "HEADGATE__ACCESS__ANONYMOUS": "true",
    "HEADGATE__TIERS__ANONYMOUS__REQUESTS_PER_ADDRESS": "20/minute",  # there are more examples than its own five
}

curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def shown(begin: str) -> list[Any]:
    """The blocks of all documents with a command to this machine's service."""
    found = [block for path in documents() for block in blocks(path, "sh") if "localhost:8000" in block.text]
    assert len(found) > 5
    return [pytest.param(block, id=block.where) for block in found if block.text.startswith(begin)]


@contextmanager
def running(folder: Path, *command: str, **environ: str) -> Iterator[str]:
    """A service of this command; its port."""
    log = folder / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", "0"], cwd=folder, env=ENV | environ, stdout=out, stderr=out
        )
    try:
        ends = time.monotonic() + 30
        while not (found := LISTENING.search(log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.02)
        shell(f"until curl -sf localhost:{found[1]}; do sleep 0.02; done")
        yield found[1]
    finally:
        process.terminate()
        process.wait(15)


def shell(script: str, **environ: str) -> str:
    """What a script prints."""
    done = subprocess.run(
        ["/bin/sh", "-euc", script], env=ENV | environ, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def settled(text: str) -> str:
    """A text without what differs each time."""
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text)
    return text.strip()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running Headgate without a configuration, and a key that was made as the README says."""
    folder = tmp_path_factory.mktemp("service")
    with running(folder, "headgate", "serve", **ANYONE) as port:
        made = f'cd {folder}; headgate() {{ {sys.executable} -m headgate "$@"; }}'
        [making] = [b.text for b in blocks(ROOT / "README.md", "sh") if b.text.startswith("export KEY=")]
        key = shell(f"{made}; {making}\necho $KEY").strip()
        assert key.startswith("hg_")
        shell(f"until curl -sf localhost:{port}/me -H 'X-API-Key: {key}'; do sleep 0.05; done")  # within a second
        yield {"PORT": port, "KEY": key, "ADMIN": ADMIN}


@curl
@pytest.mark.parametrize("block", shown("curl"))
def test_a_request_is_answered_as_shown(block: Block, service: dict[str, str]):
    script = block.text.replace("localhost:8000", f"localhost:{service['PORT']}").replace("curl ", "curl -sS ")
    answer = shell(script, **service)
    if block.next:
        assert settled(answer) == settled(block.next)
    else:
        assert answer
        assert '"error_code"' not in answer
        assert '"error":{' not in answer


@curl
@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_the_sdks_are_used_as_shown(vendor: str, service: dict[str, str]):
    [source] = [b.text for b in blocks(ROOT / "README.md", "python") if f"from {vendor} import" in b.text]
    source = source.replace("localhost:8000", f"localhost:{service['PORT']}")
    done = subprocess.run(
        [sys.executable, "-c", source], env=ENV | service, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "You said: Hello", done.stderr


@curl
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_runs_as_it_says(path: Path, tmp_path: Path):
    command, asking = re.findall(r"^(uvicorn .*|curl .*)$", path.read_text("utf-8"), re.MULTILINE)
    words = command.replace("--app-dir examples", f"--app-dir {path.parent}").split()
    with running(tmp_path, *words) as port:
        answer = shell(asking.replace("localhost:8000", f"localhost:{port}").replace("curl ", "curl -sS "))
    assert "You said: " in answer
