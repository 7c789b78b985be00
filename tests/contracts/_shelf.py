"""Documents and passages for the contracts of shelves and indexes."""

import math

from headgate.core.knowledge import Draft, Piece, Scope
from headgate.core.principal import Principal
from headgate.rag.chunk import hashed, pieces

ANN = Principal(kind="user", id="ann", tier="standard")
HERS = Scope("user:ann", "notes")
HIS = Scope("user:bob", "notes")


def draft(id_, text, title="", media="text/markdown", **metadata):
    body = text.encode()
    digest = hashed(title, media, repr(sorted(metadata.items())), text)
    return Draft(id=id_, title=title, body=body, media=media, digest=digest, metadata=metadata)


def ready(id_, text, title="", **metadata):
    """A draft with its pieces, as `put` takes it."""
    made = draft(id_, text, title, **metadata)
    return made, text, pieces(id_, title, text)


def piece(id_, text, *values):
    return Piece(id=id_, text=text, start=0, end=len(text), digest=hashed(text), values=unit(values))


def unit(values):
    length = math.hypot(*values) or 1.0
    return tuple(value / length for value in values)
