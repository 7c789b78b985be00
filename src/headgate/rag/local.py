"""`LocalEmbedder`: an embedding model in this process, from a folder that the operator put there. It asks nobody."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tokenizers import Tokenizer

from headgate.core.embedding import Purpose
from headgate.core.knowledge import Origin
from headgate.core.principal import Principal
from headgate.rag.embedder import Values

LONGEST = 256
"""Tokens of a text, unless the model's folder says otherwise; what is more is not seen."""
TOKENS = 2048
"""Tokens of one step through the model."""


class Encoder(Protocol):
    """What makes vectors of token ids."""

    def vectors(self, ids: Sequence[Sequence[int]]) -> Any:
        """One row for each text."""
        ...


class Onnx:
    """A model as a graph, `model.onnx`, run by onnxruntime."""

    def __init__(self, path: Path) -> None:
        from onnxruntime import InferenceSession  # noqa: PLC0415 - a model in numpy does without

        self._session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._takes = {each.name for each in self._session.get_inputs()}

    def vectors(self, ids: Sequence[Sequence[int]]) -> Any:
        """One row for each text: the mean of its tokens, or what the graph itself pools."""
        longest = max(map(len, ids))
        mask = np.array([[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens in ids], np.int64)
        padded = np.array([[*tokens, *[0] * (longest - len(tokens))] for tokens in ids], np.int64)
        given = {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
        out = self._session.run(None, {name: value for name, value in given.items() if name in self._takes})[0]
        if out.ndim == 2:
            return out
        return (out * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]


class LocalEmbedder:
    """The model of a folder: `tokenizer.json`, and `model.onnx` or `model.safetensors`. One text after the other."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError, in words for the operator, where the folder holds no such model."""
        self._tokenizer = _tokenizer(folder)
        self._encoder = _encoder(folder)
        weights = next(path for path in (folder / "model.onnx", folder / "model.safetensors") if path.exists())
        with weights.open("rb") as file:
            version = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        self.model = f"local/{folder.resolve().name}@{version}"
        self._thread = ThreadPoolExecutor(1, "headgate-embedding")

    def close(self) -> None:
        """End its thread."""
        self._thread.shutdown(cancel_futures=True)

    async def embed(self, who: Principal, texts: Sequence[str], purpose: Purpose, origin: Origin) -> list[Values]:
        """One vector for each text; nobody pays."""
        del who, origin
        loop = asyncio.get_running_loop()
        found: dict[int, Values] = {}
        ids = await loop.run_in_executor(self._thread, self._tokens, texts)
        for places in _steps(ids):
            some = [ids[at] for at in places]
            vectors = await loop.run_in_executor(self._thread, self._vectors, some)  # a question gets in between
            found.update(zip(places, vectors, strict=True))
        del purpose
        return [found[at] for at in range(len(texts))]

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [each.ids or [0] for each in self._tokenizer.encode_batch(list(texts))]

    def _vectors(self, ids: Sequence[Sequence[int]]) -> list[Values]:
        vectors = self._encoder.vectors(ids)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return [tuple(map(float, row)) for row in vectors]


def _steps(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """The texts' places in groups of about the same length, so that little is padded."""
    steps: list[list[int]] = []
    for at in sorted(range(len(ids)), key=lambda at: len(ids[at])):
        if not steps or (len(steps[-1]) + 1) * len(ids[at]) > TOKENS:
            steps.append([])
        steps[-1].append(at)
    return steps


def _tokenizer(folder: Path) -> Any:
    path = folder / "tokenizer.json"
    if not path.exists():
        raise ValueError(f"{folder} has no tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    said = folder / "sentence_bert_config.json"
    longest = json.loads(said.read_text("utf-8")).get("max_seq_length", LONGEST) if said.exists() else LONGEST
    tokenizer.enable_truncation(int(longest))
    tokenizer.no_padding()
    return tokenizer


def _encoder(folder: Path) -> Encoder:
    if (folder / "model.onnx").exists():
        return Onnx(folder / "model.onnx")
    if not (folder / "model.safetensors").exists():
        raise ValueError(f"{folder} has neither model.onnx nor model.safetensors")
    from headgate.rag.bert import Bert  # noqa: PLC0415 - a graph does without

    return Bert(folder)
