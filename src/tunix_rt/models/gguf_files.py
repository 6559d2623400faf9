"""A llama-architecture GGUF file as the parts of a Hub folder: weights dequantised, rows back in Hub order."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import Tokenizer

from tunix_rt import errors
from tunix_rt.models.hub import Parts, byte_bpe, llama_config, tokenizer_config


def read(path: Path) -> Parts:
    """A llama-architecture GGUF file as Hub config, float32 tensors under Hub names, tokenizer and its config."""
    reader = gguf.GGUFReader(path)
    field = {name: field.contents() for name, field in reader.fields.items()}
    if field["general.architecture"] != "llama":
        raise errors.Invalid(f"{path}: architecture {field['general.architecture']!r}; only 'llama' is converted.")
    heads, kv_heads = field["llama.attention.head_count"], field["llama.attention.head_count_kv"]
    tensors = {}
    for tensor in reader.tensors:
        array = np.ascontiguousarray(gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            array = _unpermute(array, heads if "attn_q" in tensor.name else kv_heads)
        tensors[_hub_name(tensor.name)] = array
    template = tokenizer_config(
        field["tokenizer.ggml.tokens"],
        bos=field["tokenizer.ggml.bos_token_id"],
        eos=field["tokenizer.ggml.eos_token_id"],
        chat_template=field["tokenizer.chat_template"],
        context=int(field["llama.context_length"]),
    )
    return Parts(_config(field, tied="lm_head.weight" not in tensors), tensors, _tokenizer(field), template)


def _unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Undo the row order GGUF gives q and k for interleaved RoPE. weight: [heads * head_dim, embed]."""
    rows, columns = weight.shape
    return np.ascontiguousarray(weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns))


def _hub_name(name: str) -> str:
    fixed = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    if name in fixed:
        return fixed[name]
    _, layer, part, _ = name.split(".")
    inner = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }[part]
    return f"model.layers.{layer}.{inner}.weight"


def _config(field: dict[str, Any], *, tied: bool) -> dict[str, Any]:
    return llama_config(
        layers=int(field["llama.block_count"]),
        embed=int(field["llama.embedding_length"]),
        hidden=int(field["llama.feed_forward_length"]),
        heads=int(field["llama.attention.head_count"]),
        kv_heads=int(field["llama.attention.head_count_kv"]),
        head_dim=int(field["llama.rope.dimension_count"]),
        vocab=int(field["llama.vocab_size"]),
        rope_theta=float(field["llama.rope.freq_base"]),
        norm_eps=float(f"{field['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        context=int(field["llama.context_length"]),
        tied=tied,
    )


def _tokenizer(field: dict[str, Any]) -> Tokenizer:
    if (field["tokenizer.ggml.model"], field["tokenizer.ggml.pre"]) != ("gpt2", "smollm"):
        raise errors.Invalid(f"tokenizer {field['tokenizer.ggml.pre']!r} is not one this converts (smollm).")
    tokens = field["tokenizer.ggml.tokens"]
    vocab = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ")) for merge in field["tokenizer.ggml.merges"]]
    special = [tokens[index] for index, kind in enumerate(field["tokenizer.ggml.token_type"]) if kind == 3]
    return byte_bpe(vocab, merges, special)
