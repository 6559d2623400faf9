"""The parts of a Hub-layout model folder, as values: config, tensors, tokenizer and its config."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers import models as tokenizer_models


class Parts(NamedTuple):
    """`tensors` are float32 under their Hub names."""

    config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    tokenizer: Tokenizer
    tokenizer_config: dict[str, Any]


def llama_config(
    *,
    layers: int,
    embed: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    vocab: int,
    rope_theta: float,
    norm_eps: float,
    context: int,
    tied: bool,
) -> dict[str, Any]:
    """`config.json` of a llama-shaped model as `transformers` reads it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "num_hidden_layers": layers,
        "hidden_size": embed,
        "intermediate_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": vocab,
        "rope_theta": rope_theta,
        "rms_norm_eps": norm_eps,
        "max_position_embeddings": context,
        "tie_word_embeddings": tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    }


def byte_bpe(vocab: dict[str, int], merges: Sequence[tuple[str, ...]], special: Sequence[str]) -> Tokenizer:
    """Byte-level BPE that splits off single digits first, as SmolLM does."""
    tokenizer = Tokenizer(tokenizer_models.BPE(vocab=vocab, merges=list(merges), fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def tokenizer_config(tokens: Sequence[str], *, bos: int, eos: int, chat_template: str, context: int) -> dict[str, Any]:
    """Token 0 is the pad, whatever the source says: a pad that is also the end of a turn could not be told from text."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[bos],
        "eos_token": tokens[eos],
        "pad_token": tokens[0],
        "chat_template": chat_template,
        "model_max_length": context,
    }
