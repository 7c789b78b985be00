"""Wheels whose hot path is compiled: HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip wheel --no-deps .

Without the variable a wheel is pure Python, and fits every machine. See tools/compiling.py for what it takes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileHook(BuildHookInterface[Any]):
    """Adds the compiled modules to the wheel."""

    def dependencies(self) -> list[str]:
        """What the build environment needs beside hatchling."""
        return ["cython>=3.2", "setuptools>=80"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile into a folder that lives until the wheel is written."""
        self._scratch = tempfile.TemporaryDirectory()
        folder = Path(self._scratch.name)
        subprocess.run([sys.executable, Path(self.root, "tools", "compiling.py"), folder], check=True)  # noqa: S603 - ours
        for module in (file for file in folder.rglob("*") if file.suffix in {".so", ".pyd"}):
            build_data["force_include"][str(module)] = str(module.relative_to(folder))
        build_data.update(pure_python=False, infer_tag=True)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - as above
        """Leave nothing behind."""
        self._scratch.cleanup()
