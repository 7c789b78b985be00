"""Files and functions stay short: it is the longest ones that rot first."""

import ast
from pathlib import Path

import pytest

from .source import FUNCTION, files, relative, tree

LONGEST_FILE = 400
LONGEST_FUNCTION = 50


def long_functions(path: Path) -> list[str]:
    """The functions of a file that are too long, decorators not counted."""
    found = [node for node in ast.walk(tree(path)) if isinstance(node, FUNCTION)]
    lengths = [(node, (node.end_lineno or node.lineno) - node.lineno + 1) for node in found]
    return [
        f"{relative(path)}:{node.lineno} {node.name}: {length}" for node, length in lengths if length > LONGEST_FUNCTION
    ]


def test_no_file_is_longer_than_400_lines():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    assert not [f"{relative(path)}: {length}" for path, length in lengths.items() if length > LONGEST_FILE]


def test_no_function_is_longer_than_50_lines():
    assert not [offender for path in files() for offender in long_functions(path)]


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_of_51_lines_would_be_found(tmp_path: Path, kind: str):
    path = tmp_path / "long.py"
    path.write_text(f"{kind} long():\n" + "    pass\n" * 50, encoding="utf-8")
    assert [offender.rpartition(" ")[2] for offender in long_functions(path)] == ["51"]
    path.write_text(f"{kind} fits():\n" + "    pass\n" * 49, encoding="utf-8")
    assert not long_functions(path)
