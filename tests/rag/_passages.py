"""Passages to be found."""

from headgate.core.knowledge import Found, Passage


def found(text, *, title="Hours", path=(), similarity=0.9, n=1):
    passage = Passage(id=f"c{n}", document_id=f"d{n}", title=title, text=text, start=10, end=10 + len(text), path=path)
    return Found(passage=passage, collection="library", similarity=similarity, kind="coverage")
