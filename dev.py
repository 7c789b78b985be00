#!/usr/bin/env python3
"""Everything one does in a checkout of Headgate, with nothing but Python 3.11 or newer and git.

    python3 dev.py serve [OPTIONS]   start the service (makes .venv first; options as of `headgate serve`)
    python3 dev.py compile           make machine code of what runs for every request, with Cython and a C compiler, in
                                     under a minute; `serve` takes it for as long as the sources are the same
    python3 dev.py test              all checks, as CI runs them: format, lint, types, floors, tests
    python3 dev.py test ARGUMENTS    only pytest, with these arguments
    python3 dev.py test-compiled [ARGUMENTS]  the same tests of the compiled package (arguments as of pytest)
    python3 dev.py test-clients [ARGUMENTS]  the tests with clients and upstreams that others wrote, Node's too if it is
                                     there (makes .venv-clients and node_modules; arguments as of pytest)
    python3 dev.py test-soak [ARGUMENTS]  the tests of caps, faults and losses, for an hour (as of pytest)
    python3 dev.py bench [OPTIONS]   measure against nginx (options as of bench/run.py)
    python3 dev.py bench stores      what limits in Redis and a ledger in PostgreSQL cost
    python3 dev.py bench workers     what several processes gain
    python3 dev.py bench usage       who used what, asked of a growing ledger
    python3 dev.py bench publish     all four, one after the other, into bench/RESULTS.md (each takes --quick)
    python3 dev.py lock [OPTIONS]    write requirements/*.txt anew (options as of `uv pip compile`, e.g. --upgrade)
    python3 dev.py help              this

Packages come from the index that pip is configured for, each checked against the hashes in requirements/.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools import compiling

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CLIENTS_VENV = ROOT / ".venv-clients"  # what is heavy and only these tests want
CLIENTS_TESTS = ROOT / "tests" / "clients"
CORE = ROOT / "requirements" / "core.txt"
DEV = ROOT / "requirements" / "dev.txt"
CLIENTS = ROOT / "requirements" / "clients.txt"
COOLDOWN = dt.timedelta(days=7)  # a malicious release is mostly found out within days

SOAK = ("tests/simulation", "tests/journeys/test_exact_caps.py", "tests/journeys/test_ledger_survives.py")
SOAKED = {"HEADGATE_SCHEDULES": "300000", "HEADGATE_ROUNDS": "50"}

BENCHES = ("stores", "workers", "usage")
CHECKS = (
    ("format", "ruff", "format", "--check"),
    ("lint", "ruff", "check"),
    ("types", "mypy"),
    ("tests", "pytest", "-n", "2"),  # tests/house has the floors, sizes, docstrings and words
)


def say(text: str) -> None:
    """Print at once, so that progress is seen where output is a file."""
    print(text, flush=True)


def run(*command: object) -> int:
    """Run a command in the checkout; its exit code."""
    return subprocess.run([str(word) for word in command], cwd=ROOT, check=False).returncode


def must(*command: object) -> None:
    """Run a command; its failure is ours."""
    code = run(*command)
    if code:
        sys.exit(code)


def digest(lock: Path) -> str:
    """What identifies the content of a lock file, for this interpreter."""
    return hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


PYTHON = python_of(VENV)


def environment(lock: Path, venv: Path = VENV) -> None:
    """Make a venv hold what a lock file names; a second call costs nothing. The core's lock is a part of DEV's."""
    python, stamp = python_of(venv), venv / "lock"
    wanted = {digest(DEV), digest(lock)} if lock == CORE else {digest(lock)}
    if python.exists() and stamp.exists() and stamp.read_text() in wanted:
        return
    say(f"making {venv.name} from {lock.relative_to(ROOT)}")
    if run(sys.executable, "-m", "venv", "--clear", venv):
        sys.exit("no virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet")
    must(*pip, "install", "--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", lock)
    where = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    Path(where.strip(), "headgate.pth").write_text(f"{ROOT / 'src'}\n")  # the checkout itself, without a build
    stamp.write_text(digest(lock))


def serve(arguments: list[str]) -> int:
    """Start the service in this process's place."""
    environment(CORE)
    if compiling.COMPILED.exists() and "--reload" not in arguments:  # which is for sources that change
        if compiling.fresh(compiling.COMPILED):
            use_compiled()
        else:
            say("the sources have changed since they were compiled; python3 dev.py compile would do it anew")
    command = [str(PYTHON), "-m", "headgate", "serve", *arguments]
    if os.name != "nt":  # there, exec would leave the shell without the service
        os.execv(command[0], command)
    return run(*command)


def use_compiled() -> None:
    """Have Python look there first, before all else that it was told to look at."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(compiling.COMPILED), os.environ.get("PYTHONPATH"))))


def compile_(_: list[str] | None = None) -> int:
    """Make machine code of the hot path, unless the sources are as they were."""
    environment(DEV)
    if compiling.fresh(compiling.COMPILED):
        say(f"{compiling.COMPILED.relative_to(ROOT)} holds the sources as they are")
        return 0
    code = run(PYTHON, "tools/compiling.py", compiling.COMPILED)
    if code:
        say(
            "not compiled: it takes a C compiler and Python's headers (Debian, Ubuntu: apt-get install gcc python3-dev)"
        )
    return code


def test(arguments: list[str]) -> int:
    """Run all checks, and say at the end which failed; with arguments, pytest alone."""
    environment(DEV)
    if arguments:
        return run(PYTHON, "-m", "pytest", *arguments)
    failed = []
    for name, module, *options in CHECKS:
        say(f"== {name}")
        began = time.monotonic()
        if run(PYTHON, "-m", module, *options):
            failed.append(name)
        say(f"== {name}: {time.monotonic() - began:.0f} s")
    if failed:
        say("failed: " + ", ".join(failed))
    return 1 if failed else 0


def test_compiled(arguments: list[str]) -> int:
    """Run the tests of the compiled package; those of the house look at sources only."""
    if code := compile_():
        return code
    use_compiled()
    return run(PYTHON, "-m", "pytest", "-n", "2", "--ignore", "tests/house", *arguments)


def test_clients(arguments: list[str]) -> int:
    """Run the tests with other people's clients; those for Node are skipped, plainly, where there is no npm."""
    environment(CLIENTS, CLIENTS_VENV)
    npm = shutil.which("npm")
    if npm is None:
        say("no npm: Node's clients are left out")
    else:
        must(npm, "ci", "--prefix", CLIENTS_TESTS, "--loglevel", "error")
    return run(python_of(CLIENTS_VENV), "-m", "pytest", CLIENTS_TESTS, "-rs", *arguments)


def test_soak(arguments: list[str]) -> int:
    """Run the tests that look for rare failures many times longer than every run does."""
    environment(DEV)
    os.environ.update({name: os.environ.get(name, value) for name, value in SOAKED.items()})
    return run(PYTHON, "-m", "pytest", "-n", "2", *SOAK, *arguments)


def bench(arguments: list[str]) -> int:
    """Measure; see bench/README.md."""
    name, *options = arguments or [""]
    if name == "publish":
        return max([bench([*which, "--publish", *options]) for which in ([], *([each] for each in BENCHES))])
    if name not in BENCHES:
        compile_()  # where it cannot be, the rest is measured
        return run(PYTHON, "bench/run.py", *arguments)
    environment(DEV)  # has the servers
    return run(PYTHON, f"bench/{name}.py", *options)


def lock(arguments: list[str]) -> int:
    """Resolve pyproject.toml anew. An index that gives no upload dates needs `--exclude-newer` with a far date."""
    environment(DEV)
    compile_ = [PYTHON, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"]
    compile_ += ["--no-emit-index-url", "--custom-compile-command", "python3 dev.py lock", "--quiet"]
    if "--exclude-newer" not in arguments:
        newest = dt.datetime.now(dt.UTC) - COOLDOWN
        compile_ += ["--exclude-newer", newest.strftime("%Y-%m-%d")]
    must(*compile_, *arguments, "pyproject.toml", "-o", CORE.relative_to(ROOT))
    for group, lock_, known in (("dev", DEV, CORE), ("clients", CLIENTS, DEV)):
        wanted = ("--group", group, "-c", known.relative_to(ROOT), "-o", lock_.relative_to(ROOT))
        must(*compile_, *arguments, "pyproject.toml", *wanted)
    return 0


def main() -> int:
    """Find the command and run it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python gets a sentence, not a traceback
        sys.exit(f"Headgate needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    command, *arguments = sys.argv[1:] or ["help"]
    commands = {
        "serve": serve,
        "compile": compile_,
        "test": test,
        "test-compiled": test_compiled,
        "test-clients": test_clients,
        "test-soak": test_soak,
        "bench": bench,
        "lock": lock,
    }
    if command in ("help", "--help", "-h"):
        say(__doc__)
        return 0
    if command not in commands:
        sys.exit(f"no such command: {command}\n\n{__doc__}")
    return commands[command](arguments)


if __name__ == "__main__":
    sys.exit(main())
