"""Commands run in a directory and an environment of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from headgate.cli.main import main

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("HEADGATE_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run():
    """Run a command in this process: its exit code, what it printed, and what it said on stderr."""

    def invoke(*args, stdin=None):
        result = CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def shell():
    """Run the real command in a process of its own."""

    def call(*args, **env):
        command = [sys.executable, "-m", "headgate", *map(str, args)]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), **env}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return call
