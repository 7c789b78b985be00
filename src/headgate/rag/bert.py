"""A sentence encoder of BERT's kind in numpy: token ids in, one vector a text out.

All-MiniLM, bge, e5 and gte are of this kind (Devlin et al. 2018). Its weights are read from `model.safetensors`, whose
format is a length, a JSON head and the numbers (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {"F32": np.float32, "F16": np.float16}


def tensors(path: Path) -> dict[str, Any]:
    """The tensors of a file by name, in single precision. Raises ValueError for a file that is none."""
    whole = path.read_bytes()
    try:
        size = int.from_bytes(whole[:8], "little")
        head = json.loads(whole[8 : 8 + size])
        head.pop("__metadata__", None)
        found = {}
        for name, told in head.items():
            if told["dtype"] in _TYPES:
                begin, end = told["data_offsets"]
                values = np.frombuffer(whole[8 + size + begin : 8 + size + end], _TYPES[told["dtype"]])
                found[name.removeprefix("bert.")] = values.reshape(told["shape"]).astype(np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} holds no weights that can be read: {error}") from None
    return found


class Bert:
    """The model of a folder: `model.safetensors`, `config.json`, and how to pool in `1_Pooling/config.json`."""

    def __init__(self, folder: Path) -> None:
        told = json.loads((folder / "config.json").read_text("utf-8"))
        self._heads = int(told["num_attention_heads"])
        self._epsilon = float(told.get("layer_norm_eps", 1e-12))
        pooling = folder / "1_Pooling" / "config.json"
        self._first = pooling.exists() and json.loads(pooling.read_text("utf-8")).get("pooling_mode_cls_token", False)
        weights = tensors(folder / "model.safetensors")
        try:
            self._embeddings(weights)
            self._layers = [_layer(weights, f"encoder.layer.{n}.") for n in range(int(told["num_hidden_layers"]))]
        except KeyError as error:
            raise ValueError(f"this is no model of BERT's kind: it has no tensor {error}") from None

    def _embeddings(self, weights: dict[str, Any]) -> None:
        self._words = weights["embeddings.word_embeddings.weight"]
        types = weights["embeddings.token_type_embeddings.weight"]
        self._positions = weights["embeddings.position_embeddings.weight"] + types[0]
        self._norm = (weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"])

    def vectors(self, ids: Sequence[Sequence[int]]) -> Any:
        """One row for each text, of its token ids; texts are best of about the same length."""
        longest = max(map(len, ids))
        padded: Any = np.zeros((len(ids), longest), np.int64)
        mask: Any = np.zeros((len(ids), longest), np.float32)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        hidden = self._normal(self._words[padded] + self._positions[:longest], *self._norm)
        bias = (mask - 1)[:, None, None, :] * np.float32(1e9)
        for layer in self._layers:
            hidden = self._normal(hidden + self._attention(hidden, bias, layer), *layer["norm1"])
            inner = _gelu(hidden @ layer["up"][0] + layer["up"][1])
            hidden = self._normal(hidden + inner @ layer["down"][0] + layer["down"][1], *layer["norm2"])
        if self._first:
            return hidden[:, 0]
        return (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]

    def _attention(self, hidden: Any, bias: Any, layer: dict[str, Any]) -> Any:
        texts, length, width = hidden.shape
        each = width // self._heads
        mixed = (hidden @ layer["qkv"][0] + layer["qkv"][1]).reshape(texts, length, 3, self._heads, each)
        query, key, value = mixed.transpose(2, 0, 3, 1, 4)
        scores = query @ key.swapaxes(-1, -2) / np.float32(math.sqrt(each)) + bias
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(-1, keepdims=True)
        seen = (scores @ value).transpose(0, 2, 1, 3).reshape(texts, length, width)
        return seen @ layer["out"][0] + layer["out"][1]

    def _normal(self, hidden: Any, weight: Any, bias: Any) -> Any:
        centred = hidden - hidden.mean(-1, keepdims=True)
        spread = np.einsum("...i,...i->...", centred, centred)[..., None] / np.float32(hidden.shape[-1])
        return centred / np.sqrt(spread + np.float32(self._epsilon)) * weight + bias


def _layer(weights: dict[str, Any], at: str) -> dict[str, Any]:
    """One layer's tensors, as they are multiplied; query, key and value at once."""

    def dense(name: str) -> tuple[Any, Any]:
        return np.ascontiguousarray(weights[f"{at}{name}.weight"].T), weights[f"{at}{name}.bias"]

    mixed = [dense(f"attention.self.{name}") for name in ("query", "key", "value")]
    return {
        "qkv": (np.concatenate([each[0] for each in mixed], 1), np.concatenate([each[1] for each in mixed])),
        "out": dense("attention.output.dense"),
        "norm1": (weights[f"{at}attention.output.LayerNorm.weight"], weights[f"{at}attention.output.LayerNorm.bias"]),
        "up": dense("intermediate.dense"),
        "down": dense("output.dense"),
        "norm2": (weights[f"{at}output.LayerNorm.weight"], weights[f"{at}output.LayerNorm.bias"]),
    }


def _gelu(x: Any) -> Any:
    """The Gaussian error linear unit, by the hyperbolic tangent (Hendrycks and Gimpel 2016)."""
    inner = x * x
    inner *= np.float32(0.044715)
    inner += 1
    inner *= x
    inner *= np.float32(math.sqrt(2 / math.pi))
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= np.float32(0.5)
    return inner
