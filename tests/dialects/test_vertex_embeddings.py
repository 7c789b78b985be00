"""Vertex AI's embeddings: two ways to ask, one meaning."""

import pytest

from headgate.core.embedding import EmbedCall
from headgate.core.events import Usage
from headgate.core.faults import Unsupported, UpstreamBroken, UpstreamBusy
from headgate.dialects.vertex_embeddings import batch_limit, embed_request, predict_request, predicts, read


def call(*inputs, **fields):
    return EmbedCall(model="m", inputs=inputs, **fields)


def predicted(*vectors, tokens=2):
    return {"predictions": [{"embeddings": {"values": v, "statistics": {"token_count": tokens}}} for v in vectors]}


def test_texts_are_instances():
    assert predict_request(call("a", "b", purpose="query", dimensions=8)) == {
        "instances": [
            {"content": "a", "task_type": "RETRIEVAL_QUERY"},
            {"content": "b", "task_type": "RETRIEVAL_QUERY"},
        ],
        "parameters": {"autoTruncate": False, "outputDimensionality": 8},
    }


def test_newer_models_take_one_text_as_content():
    assert embed_request(call("a", purpose="document", dimensions=8)) == {
        "content": {"parts": [{"text": "a"}]},
        "embedContentConfig": {"autoTruncate": False, "outputDimensionality": 8, "taskType": "RETRIEVAL_DOCUMENT"},
    }


@pytest.mark.parametrize(
    ("model", "limit", "predict"),
    [("text-embedding-005", 250, True), ("gemini-embedding-001", 1, True), ("gemini-embedding-2", 1, False)],
)
def test_the_model_decides_how_it_is_asked(model, limit, predict):
    assert (batch_limit(model), predicts(model)) == (limit, predict)


def test_token_ids_are_refused():
    with pytest.raises(Unsupported):
        predict_request(call((1, 2)))


def test_both_answers_are_read():
    assert read(predicted([0.5], [1]), 2).vectors == [[0.5], [1.0]]
    assert read(predicted([0.5], [1]), 2).usage == Usage(4, 0)
    single = read({"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 3}}, 1)
    assert (single.vectors, single.usage) == ([[0.5]], Usage(3, 0))
    assert read({"embedding": {"values": [0.5]}}, 1).usage is None


@pytest.mark.parametrize("data", [{}, predicted([1]), predicted([]), predicted("x"), {"predictions": [1, 2]}])
def test_other_answers_are_broken(data):
    with pytest.raises(UpstreamBroken):
        read(data, 2)


def test_an_error_is_its_fault():
    with pytest.raises(UpstreamBusy):
        read({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, 1)
