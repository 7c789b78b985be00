"""What must not stand in the repository: places of one machine, addresses of package indexes, secrets."""

import re

import pytest

from .source import relative, tracked

# Each pattern is written so that it does not find itself.
FORBIDDEN = {
    "a path of somebody's machine": r"/wor[k]/|/tmp/bas[h]|/User[s]/[A-Za-z]",
    "the host of a package index": r"pypi\.or[g]|pythonhosted\.or[g]|npmjs\.or[g]|registry\.yarnpk[g]",
    "an address on somebody's disk": r"file:///op[t]/",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KE[Y]-----",
    "a live credential": r"\bsk-(?:proj|ant)-[A-Za-z0-9_-]{40,}|\bAIza[A-Za-z0-9_-]{35}\b|\bghp_[A-Za-z0-9]{36}\b",
    "a merge left undone": r"^(?:<{7}|>{7}) ",
}


def finds(text: str) -> list[str]:
    """What of the forbidden a text holds."""
    return [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text, re.MULTILINE)]


def words(path) -> str:
    """The text of a file; nothing of one that is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_no_tracked_file_holds_what_must_not_be_there():
    found = {relative(path): finds(words(path)) for path in tracked()}
    assert found
    assert not {path: what for path, what in found.items() if what}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see /wor" + "k/main/src", "a path of somebody's machine"),
        ("index https://pypi.or" + "g/simple", "the host of a package index"),
        ("file:///op" + "t/wheels", "an address on somebody's disk"),
        ("key = sk-ant-" + "a" * 48, "a live credential"),
        ("<" * 7 + " HEAD", "a merge left undone"),
    ],
)
def test_a_forbidden_word_would_be_found(text: str, what: str):
    assert finds(text) == [what]
