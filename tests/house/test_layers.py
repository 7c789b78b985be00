"""You look down, never up: the floors of `pyproject.toml`, held by import-linter."""

import pytest
from importlinter.cli import lint_imports

from .source import ROOT


def test_no_room_imports_what_stands_above_it(capsys: pytest.CaptureFixture[str]):
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out


def test_a_broken_contract_would_be_found(tmp_path, monkeypatch, capsys):
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
    monkeypatch.syspath_prepend(tmp_path)
    assert lint_imports(config_filename=str(config), no_cache=True, no_logo=True) == 1
    assert "upsidedown.cellar is not allowed to import upsidedown.roof" in capsys.readouterr().out
