"""Texts to vectors, in Google's words."""

import pytest

from headgate.core.faults import UpstreamBroken, UpstreamBusy
from headgate.dialects.gemini_embeddings import request, tokens_in, vectors


def test_each_text_is_a_request_of_the_batch():
    assert request(["a", "b"], "gemini-embedding-001", 256) == {
        "requests": [
            {
                "model": "models/gemini-embedding-001",
                "content": {"parts": [{"text": text}]},
                "outputDimensionality": 256,
            }
            for text in "ab"
        ]
    }
    assert "outputDimensionality" not in request(["a"], "models/m")["requests"][0]


def test_vectors_keep_the_order_of_the_texts():
    answer = {"embeddings": [{"values": [0, 0.5]}, {"values": [1.0]}], "usageMetadata": {"promptTokenCount": 3}}
    assert vectors(answer, 2) == [[0.0, 0.5], [1.0]]
    assert tokens_in(answer) == 3
    assert tokens_in({}) is None


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"embeddings": [{"values": [1.0]}]},
        {"embeddings": [{"values": [1.0]}, {"values": ["many"]}]},
        {"embeddings": [{"values": 1}, {"values": [1.0]}]},
        {"embeddings": [1, 2]},
    ],
)
def test_an_answer_that_does_not_fit_the_texts_is_broken(answer):
    with pytest.raises(UpstreamBroken):
        vectors(answer, 2)


def test_an_error_inside_a_200_is_a_fault():
    with pytest.raises(UpstreamBusy):
        vectors({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota"}}, 1)
