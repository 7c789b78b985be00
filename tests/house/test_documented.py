"""What is public says what it is for."""

import ast
from pathlib import Path

from headgate.core import faults

from .source import FUNCTION, files, relative, tree


def undocumented(path: Path) -> list[str]:
    """Public names of a file without a docstring; what a function holds inside is its own affair."""
    module = tree(path)
    found = [] if ast.get_docstring(module) else [f"{relative(path)}: the module"]

    def visit(body: list[ast.stmt], owner: str) -> None:
        for node in body:
            if not isinstance(node, (ast.ClassDef, *FUNCTION)) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node) and not is_overload(node):
                found.append(f"{relative(path)}:{node.lineno} {owner}{node.name}")
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{owner}{node.name}.")

    visit(module.body, "")
    return found


def is_overload(node: ast.AST) -> bool:
    """Whether this is one signature of a function that has several; the last carries the docstring."""
    return any(ast.unparse(decorator).endswith("overload") for decorator in getattr(node, "decorator_list", []))


def descendants(kind: type) -> list[type]:
    """All subclasses, however deep."""
    return [found for child in kind.__subclasses__() for found in (child, *descendants(child))]


def leaves() -> list[type[faults.Fault]]:
    """The faults that are raised: those of our own that no other fault derives from."""
    ours = [kind for kind in descendants(faults.Fault) if kind.__module__.startswith("headgate.")]
    return [kind for kind in ours if not kind.__subclasses__()]


def test_every_public_module_class_and_function_has_a_docstring():
    assert not [name for path in files() for name in undocumented(path)]


def test_a_public_method_without_a_docstring_would_be_found(tmp_path: Path):
    path = tmp_path / "bare.py"
    path.write_text(
        '"""A module."""\nclass A:\n    """A class."""\n    async def b(self): ...\n    def _c(self): ...\n'
    )
    assert undocumented(path) == ["bare.py:4 A.b"]


def test_every_fault_says_in_its_own_words_what_happened():
    assert leaves()
    assert not [kind.__name__ for kind in leaves() if not vars(kind).get("__doc__")]


def test_every_fault_has_a_code_and_only_a_bug_is_an_internal_error():
    assert not [kind.__name__ for kind in leaves() if not kind.code]
    assert [kind for kind in leaves() if kind.code == "internal_error"] == [faults.InternalError]


def test_every_fault_stands_in_the_drawing_at_the_top_of_its_file():
    drawing = (faults.__doc__ or "").split()
    assert not [
        kind.__name__
        for kind in descendants(faults.Fault)
        if kind.__module__ == faults.__name__ and kind.__name__ not in drawing
    ]
