"""The words of a text: what is searched for of a question, and what an identifier is made of.

How words are cut and stemmed is the shelf's affair; these are the words as people write them.
"""

from __future__ import annotations

import re

MOST = 256
"""Words of a question that are searched for; a longer one is cut."""

_FUNCTION_WORDS = """
a about above after again against all am an and any are as at be because been before being below between both but by can
could did do does doing down during each few for from further had has have having he her here hers herself him himself
his how i if in into is it its itself just me more most my myself no nor not now of off on once only or other our ours
ourselves out over own s same she should so some such t than that the their theirs them themselves then there these they
this those through to too under until up very was we were what when where which while who whom why will with would you
your yours yourself yourselves
"""
STOP = frozenset(_FUNCTION_WORDS.split())
"""The function words of English, which nearly every passage has."""

_WORD = re.compile(r"\w+")
_IDENTIFIER = re.compile(r"\b(?=\w*[a-z][A-Z]|\w*[A-Z][A-Z][a-z])[A-Za-z0-9_]+\b")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def wanted(question: str) -> list[str]:
    """The words to search for, in lower case: without the function words, unless there are no others.

    A word that is repeated weighs more, and stays so. Parts of identifiers are words too.
    """
    found = [word for written in _WORD.findall(question) for word in (written.lower(), *parts(written))][:MOST]
    return [word for word in found if word not in STOP] or found


def parts(word: str) -> list[str]:
    """What an identifier in camel case is made of, in lower case; nothing of any other word.

    `getHTTPReply` is made of `get`, `http` and `reply`. Underscores divide words anyway.
    """
    if not _IDENTIFIER.fullmatch(word):
        return []
    return [part.lower() for part in _PART.findall(word)]


def identifiers(text: str) -> str:
    """The parts of all identifiers of a text."""
    return " ".join(part for word in _IDENTIFIER.findall(text) for part in parts(word))
