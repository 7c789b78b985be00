"""`headgate new-provider` writes a provider that works."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_tests(directory, *paths):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(path) for path in (*paths, ROOT / "src"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(directory)]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_a_plug_in_passes_its_own_tests(run, here):
    result = run("new-provider", "fire_side")
    assert result.exit_code == 0, result.stderr
    assert 'fire_side = "headgate_fire_side"' in (here / "headgate-fire-side" / "pyproject.toml").read_text()
    done = run_tests(here / "headgate-fire-side")
    assert done.returncode == 0, done.stdout
    assert "class FireSide(" in (here / "headgate-fire-side" / "src" / "headgate_fire_side" / "__init__.py").read_text()


def test_nothing_of_the_invented_vendor_remains(run, here):
    run("new-provider", "fireside")
    for path in (here / "headgate-fireside").rglob("*"):
        assert "acme" not in (str(path) + (path.read_text() if path.is_file() else "")).lower()


def test_in_the_tree_it_is_one_file_and_its_test(run, here):
    (here / "src/headgate/providers").mkdir(parents=True)
    assert run("new-provider", "fireside", "--in-tree").exit_code == 0
    assert {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()} == {
        "src/headgate/providers/fireside.py",
        "tests/providers/test_fireside.py",
        "tests/providers/transcripts/fireside.sse",
    }


def test_it_never_overwrites(run):
    run("new-provider", "fireside")
    result = run("new-provider", "fireside")
    assert result.exit_code == 1
    assert "is there already" in result.stderr


def test_what_cannot_be_a_name_is_wrong_usage(run):
    assert run("new-provider", "Fire-Side").exit_code == 2
    assert run("new-provider", "fireside", "--in-tree").exit_code == 2
