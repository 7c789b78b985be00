"""Echo's embeddings: words, hashed."""

from math import isclose

import pytest

from headgate.core.embedding import EmbedCall
from headgate.core.faults import Unsupported
from headgate.core.seams import Embedder
from headgate.providers.echo import DIMENSIONS, MOST_DIMENSIONS, Options, connect
from headgate.testing import ScriptedWire

pytestmark = pytest.mark.anyio


async def embedded(*inputs, dimensions=None):
    provider = connect(Options(), ScriptedWire())
    assert isinstance(provider, Embedder)
    return await provider.embed(EmbedCall(model="echo", inputs=inputs, dimensions=dimensions))


def near(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_a_vector_is_always_the_same_and_of_length_one():
    found = await embedded("The gate of a canal", "", "the GATE of a canal!", (1, 2, 3))
    assert all(len(vector) == DIMENSIONS and isclose(near(vector, vector), 1) for vector in found.vectors)
    assert found.vectors[0] == found.vectors[2] == (await embedded("The gate of a canal")).vectors[0]
    assert found.usage.tokens_in == 5 + 0 + 5 + 3


async def test_texts_with_words_in_common_are_near_each_other():
    question, answer, other = (await embedded("open the gate", "the gate opens", "seven green apples")).vectors
    assert near(question, answer) > near(question, other)


async def test_vectors_come_as_long_as_they_are_wanted():
    assert len((await embedded("a", dimensions=5)).vectors[0]) == 5
    with pytest.raises(Unsupported, match=r"1024") as raised:
        await embedded("a", dimensions=MOST_DIMENSIONS + 1)
    assert raised.value.field == "dimensions"
