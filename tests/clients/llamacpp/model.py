"""A model of llama.cpp's own kind, a tenth of a megabyte: it has learnt nothing, and says letters."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

CONTEXT = 16384
_WIDTH = 32
_HEADS = 2
_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "

# SentencePiece's kinds of tokens: 1 normal, 2 unknown, 3 control, 6 byte.
_SPECIAL = [(b"<unk>", 2), (b"<s>", 3), (b"</s>", 3)]
_BYTES = [(b"<0x%02X>" % byte, 6) for byte in range(256)]
_LETTERS = [(bytes([letter]), 1) for letter in range(ord("a"), ord("z") + 1)]
_TOKENS = [*_SPECIAL, *_BYTES, *_LETTERS]


def write_model(path: Path) -> None:
    """Write the model, with weights that are random but always the same."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(2 * _WIDTH)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_vocab_size(len(_TOKENS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _ in _TOKENS])
    writer.add_token_scores([-float(at) for at in range(len(_TOKENS))])
    writer.add_token_types([kind for _, kind in _TOKENS])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(_TEMPLATE)
    for name, tensor in _tensors().items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)

    def weights(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32) * np.float32(0.2)

    # Only letters have a voice: the rest is silenced, so that whatever is drawn makes a text, and one without an end.
    output = np.zeros((len(_TOKENS), _WIDTH), dtype=np.float32)
    output[-len(_LETTERS) :] = 50 * weights(len(_LETTERS), _WIDTH)
    square = ("attn_q", "attn_k", "attn_v", "attn_output")
    return {
        "token_embd.weight": weights(len(_TOKENS), _WIDTH),
        "output.weight": output,
        "output_norm.weight": np.ones(_WIDTH, dtype=np.float32),
        "blk.0.attn_norm.weight": np.ones(_WIDTH, dtype=np.float32),
        "blk.0.ffn_norm.weight": np.ones(_WIDTH, dtype=np.float32),
        **{f"blk.0.{name}.weight": weights(_WIDTH, _WIDTH) for name in square},
        "blk.0.ffn_gate.weight": weights(2 * _WIDTH, _WIDTH),
        "blk.0.ffn_up.weight": weights(2 * _WIDTH, _WIDTH),
        "blk.0.ffn_down.weight": weights(_WIDTH, 2 * _WIDTH),
    }
