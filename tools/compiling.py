"""Compile what runs for every request to machine code, from the very same sources.

    python tools/compiling.py FOLDER

FOLDER becomes a copy of the package in which each module of `[tool.headgate] compiled` (pyproject.toml) has a compiled
one beside it, which Python takes first: put it on PYTHONPATH. Needs Cython, setuptools, a C compiler and Python's
headers (Debian, Ubuntu: apt-get install gcc python3-dev). Takes under a minute.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "headgate"
PROJECT = ROOT / "pyproject.toml"
COMPILED = ROOT / "build" / "compiled"
"""Where `dev.py` has it made, and looks for it."""

# Every variable stays a Python object, whatever its annotation says or Cython would make of it.
DIRECTIVES = {"language_level": 3, "annotation_typing": False, "infer_types": False}
FLAGS = [] if os.name == "nt" else ["-O2", "-g0", "-w"]


def modules() -> list[str]:
    """What is compiled, as dotted names."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    return [f"headgate.{name}" for name in project["tool"]["headgate"]["compiled"]]


def compile_one(folder: Path, module: str) -> str:
    """Compile one module beside its source in the folder; its name. Raises what Cython and the compiler raise."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    os.chdir(folder)
    with tempfile.TemporaryDirectory() as scratch:
        extension = Extension(module, [module.replace(".", "/") + ".py"], extra_compile_args=FLAGS)
        compiled = cythonize([extension], build_dir=scratch, compiler_directives=DIRECTIVES, quiet=True)
        command = build_ext(Distribution({"name": "headgate", "ext_modules": compiled}))
        command.inplace, command.build_lib, command.build_temp = True, scratch, scratch
        command.ensure_finalized()
        command.run()
    return module


def compile_all(folder: Path) -> None:
    """Fill the folder anew; tells of every module. Raises as `compile_one` does, and ValueError for others' files."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "headgate" / "__init__.py").exists():
        raise ValueError(f"{folder} holds something else: name a folder that is empty or not there")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    wanted = modules()
    with ProcessPoolExecutor() as pool:
        for done, finished in enumerate(as_completed([pool.submit(compile_one, folder, each) for each in wanted]), 1):
            print(f"compiled {done} of {len(wanted)}: {finished.result()}", flush=True)
    (folder / "stamp").write_text(stamp(), encoding="ascii")


def stamp() -> str:
    """What identifies the sources as they are, for this Python."""
    seen = hashlib.sha256(sys.version.encode() + PROJECT.read_bytes() + Path(__file__).read_bytes())
    for file in sorted(PACKAGE.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            seen.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes())
    return seen.hexdigest()


def fresh(folder: Path) -> bool:
    """Whether the folder holds the sources as they are, compiled for this Python."""
    made = folder / "stamp"
    return made.exists() and made.read_text(encoding="ascii") == stamp()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    compile_all(Path(sys.argv[1]).resolve())
