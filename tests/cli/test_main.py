"""The command line as a whole: help, exit codes, failures in a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from headgate import __version__
from headgate.cli.main import main

SOURCE = Path(__file__).parents[2] / "src"


def commands(group=main, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_help_teaches_with_an_example(run, path):
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"headgate {path[0]}" in result.output


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
def test_every_option_says_what_it_does(path, command):
    silent = [option.name for option in command.params if isinstance(option, click.Option) and not option.help]
    assert silent == []


def test_the_version_is_told(run):
    assert run("--version").output == f"headgate, version {__version__}\n"


def test_help_loads_nothing_that_is_slow():
    slow = ("pydantic", "rich", "fastapi", "httpx2", "jwt", "msgspec")
    code = f"import sys, headgate.cli.main; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_exit_codes_are_0_done_1_failed_2_wrong_usage(shell, here):
    assert shell("check").returncode == 0
    (here / "headgate.toml").write_text("[server]\nprot = 1")
    failed = shell("check")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "Error: headgate.toml:2: server.prot is not a known key; did you mean server.port?\n"
    wrong = shell("check", "--nonsense")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "No such option" in wrong.stderr
    assert shell("nonsense").returncode == 2


def test_a_failure_is_a_sentence_and_never_a_traceback(run, here):
    (here / "headgate.toml").mkdir()
    result = run("check", "--config", "headgate.toml")
    assert result.exit_code == 1
    assert result.stderr == "Error: headgate.toml: cannot be read: Is a directory\n"


def test_several_problems_are_a_list(run, here):
    (here / "headgate.toml").write_text("[server]\nprot = 1\nport = 'x'")
    assert run("check").stderr == (
        "Error: 2 problems:\n"
        '  headgate.toml:3: server.port must be a whole number, not "x"\n'
        "  headgate.toml:2: server.prot is not a known key; did you mean server.port?\n"
    )


def test_json_is_json(run):
    assert json.loads(run("check", "--json").output)["server"]["port"] == 8000
