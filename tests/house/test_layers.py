"""You look down, never up: the floors of `pyproject.toml`, held by import-linter.

It runs in a process of its own: it sets up logging, and every logger it does not know falls silent.
"""

import os
import subprocess
import sys

from .source import ROOT

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"


def lint(config, path=ROOT / "src"):
    command = [sys.executable, "-c", LINT, str(config)]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(path)}, capture_output=True, text=True, check=False
    )


def test_no_room_imports_what_stands_above_it():
    done = lint(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_contract_would_be_found(tmp_path):
    package = tmp_path / "upsidedown"
    package.mkdir()
    for name, text in (("__init__", ""), ("roof", ""), ("cellar", "from upsidedown import roof\n")):
        (package / f"{name}.py").write_text(text)
    config = tmp_path / "contracts.toml"
    config.write_text("""
[tool.importlinter]
root_package = "upsidedown"
[[tool.importlinter.contracts]]
name = "floors"
type = "layers"
containers = ["upsidedown"]
layers = ["roof", "cellar"]
""")
    done = lint(config, tmp_path)
    assert done.returncode == 1, done.stderr
    assert "upsidedown.cellar is not allowed to import upsidedown.roof" in done.stdout
