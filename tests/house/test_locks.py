"""What is installed is what was looked at: every package at one version, with its hashes, from no named place."""

import re
import tomllib

import pytest

from .source import ROOT

PIN = re.compile(r"^([a-z0-9-]+)==\S+", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    """The packages a lock file names, each with the lines that belong to it."""
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / "requirements" / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {match[1]: block for block in blocks if (match := PIN.match(block))}


def named(requirements: list[str]) -> set[str]:
    """The packages of a list of requirements."""
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


@pytest.mark.parametrize("name", ["core.txt", "dev.txt", "clients.txt"])
def test_every_locked_package_has_hashes_and_no_address(name: str):
    assert pins(name)
    assert not [package for package, block in pins(name).items() if "--hash=sha256:" not in block]
    assert "://" not in (ROOT / "requirements" / name).read_text(encoding="utf-8")


def test_every_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert named(project["project"]["dependencies"]) <= set(pins("core.txt"))
    for group in ("dev", "clients"):
        assert named(project["dependency-groups"][group]) <= set(pins(f"{group}.txt"))


@pytest.mark.parametrize("name", ["dev.txt", "clients.txt"])
def test_tests_have_the_versions_that_users_get(name: str):
    tests, core = pins(name), pins("core.txt")
    versions = {package: block.split()[0] for package, block in core.items()}
    assert {package: tests[package].split()[0] for package in core} == versions


def test_the_locks_of_node_name_no_address():
    assert '"resolved"' not in (ROOT / "tests/clients/package-lock.json").read_text(encoding="utf-8")
