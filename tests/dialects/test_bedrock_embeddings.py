"""Embeddings at Bedrock: Titan's words, and Cohere's."""

import pytest

from headgate.core.embedding import EmbedCall
from headgate.core.events import Usage
from headgate.core.faults import Unsupported, UpstreamBroken, UpstreamDown
from headgate.dialects.bedrock_embeddings import batch_limit, read, request

TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-multilingual-v3"


def test_titan_takes_one_text():
    assert request(EmbedCall(model=TITAN, inputs=("a",))) == {"inputText": "a"}
    assert request(EmbedCall(model=TITAN, inputs=("a",), dimensions=256)) == {"inputText": "a", "dimensions": 256}
    assert batch_limit(TITAN) == 1


def test_cohere_takes_many_and_their_purpose():
    assert request(EmbedCall(model=COHERE, inputs=("a", "b"), purpose="query")) == {
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
    }
    assert batch_limit(COHERE) == 96


def test_both_answers_are_read():
    titan = read({"embedding": [0.5, 1], "inputTextTokenCount": 3, "embeddingsByType": {"float": [0.5, 1]}}, 1)
    assert (titan.vectors, titan.usage) == ([[0.5, 1.0]], Usage(3, 0))
    assert read({"embeddings": {"float": [[1], [2]]}, "response_type": "embeddings_by_type"}, 2).vectors == [[1], [2]]
    assert read({"embeddings": [[1]]}, 1).vectors == [[1]]


@pytest.mark.parametrize(
    "call", [EmbedCall(model="amazon.nova-lite-v1:0", inputs=("a",)), EmbedCall(model=TITAN, inputs=((1, 2),))]
)
def test_what_cannot_be_embedded_is_refused(call):
    with pytest.raises(Unsupported):
        request(call)


@pytest.mark.parametrize("data", [{}, {"embedding": []}, {"embedding": "x"}, {"embeddings": [[1], [2]]}])
def test_other_answers_are_broken(data):
    with pytest.raises(UpstreamBroken):
        read(data, 1)


def test_an_error_is_its_fault():
    with pytest.raises(UpstreamDown):
        read({"message": "boom"}, 1)
