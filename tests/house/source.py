"""Headgate's own source, as the house tests read it."""

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "headgate"
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def files() -> list[Path]:
    """Every Python file of the package."""
    found = sorted(SOURCE.rglob("*.py"))
    assert found, f"no source in {SOURCE}"
    return found


def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def relative(path: Path) -> str:
    """A path as a reader of the repository knows it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def tracked() -> list[Path]:
    """Every file that git knows or would add, or every file where there is no git (an unpacked archive)."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]
