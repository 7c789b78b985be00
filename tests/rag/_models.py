"""Embedding models small enough to be made here: as tensors, and as a graph."""

import json
import random
import struct

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

WORDS = ["[PAD]", "[UNK]", "gate", "water", "lock", "weir"]


def tokenizer(folder):
    made = Tokenizer(WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.save(str(folder / "tokenizer.json"))


def bert(folder, width=8, layers=2, longest=16):
    """A model of BERT's kind with random weights."""
    chance = random.Random(3)
    shapes = {
        "embeddings.word_embeddings.weight": (len(WORDS), width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.position_embeddings.weight": (longest, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for n in range(layers):
        at = f"encoder.layer.{n}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{at}{name}.weight": (width, width), f"{at}{name}.bias": (width,)}
        shapes |= {f"{at}intermediate.dense.weight": (2 * width, width), f"{at}intermediate.dense.bias": (2 * width,)}
        shapes |= {f"{at}output.dense.weight": (width, 2 * width), f"{at}output.dense.bias": (width,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}{name}.weight": (width,), f"{at}{name}.bias": (width,)}
    head, data = {"__metadata__": {"format": "pt"}}, b""
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = struct.pack(f"<{count}f", *(chance.gauss(0, 1) for _ in range(count)))
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    told = json.dumps(head).encode()
    (folder / "model.safetensors").write_bytes(len(told).to_bytes(8, "little") + told + data)
    config = {"num_attention_heads": 2, "num_hidden_layers": layers, "layer_norm_eps": 1e-12}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest}))
    tokenizer(folder)


def _field(number, value):
    """A field of a protobuf message: a number, a text, or a message."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    content = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def onnx(folder, rows):
    """A graph that looks each token up in a table (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto)."""
    flat = [value for row in rows for value in row]
    table = b"".join(_field(1, size) for size in (len(rows), len(rows[0]))) + _field(2, 1) + _field(8, "table")
    table += _field(9, struct.pack(f"<{len(flat)}f", *flat))
    node = _field(1, "table") + _field(1, "input_ids") + _field(2, "last_hidden_state") + _field(4, "Gather")

    def tensor(name, kind, *axes):
        shape = b"".join(_field(1, _field(2, axis)) for axis in axes)
        return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))

    graph = _field(1, node) + _field(2, "lookup") + _field(5, table)
    graph += _field(11, tensor("input_ids", 7, "texts", "tokens"))
    graph += _field(12, tensor("last_hidden_state", 1, "texts", "tokens", "width"))
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(2, 13))
    (folder / "model.onnx").write_bytes(model)
    tokenizer(folder)
