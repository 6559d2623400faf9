"""Small seeded instances of every family, made by `transformers`, which is also what ours are compared with."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from tunix_rt.models import tiny

BASE: dict[str, Any] = {
    "vocab_size": 259,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
WINDOWED = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 9}
MIXED = ["sliding_attention", "full_attention"]
INSTANCES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}),
    "llama-untied": ("LlamaConfig", {"tie_word_embeddings": False, "head_dim": 32, "rms_norm_eps": 1e-5}),
    "llama-3": ("LlamaConfig", {"tie_word_embeddings": True, "rope_parameters": LLAMA3}),
    "llama-linear": ("LlamaConfig", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}}),
    "qwen2": ("Qwen2Config", {"tie_word_embeddings": True}),
    "qwen2-untied": ("Qwen2Config", {"tie_word_embeddings": False}),
    "qwen3": ("Qwen3Config", {"head_dim": 16, "rope_parameters": {"rope_type": "default", "rope_theta": 5e6}}),
    "gemma2": ("Gemma2Config", WINDOWED),
    "gemma2-fused": ("Gemma2Config", {**WINDOWED, "num_key_value_heads": 4}),
    "gemma3": ("Gemma3TextConfig", {**WINDOWED, "layer_types": MIXED, "num_key_value_heads": 1}),
    "gemma3-grouped": ("Gemma3TextConfig", {**WINDOWED, "layer_types": MIXED, "query_pre_attn_scalar": 12}),
}
ONE_EACH = ("llama", "qwen2", "qwen3", "gemma2", "gemma3")


def parity(name: str) -> Any:
    """A package that ours is compared with; without it the test that asks is skipped."""
    return pytest.importorskip(name, reason=f"no {name} to compare with; `make parity` installs it")


def config_of(name: str) -> Any:
    kind, changes = INSTANCES[name]
    return getattr(transformers, kind)(**{**BASE, **changes})


def made(name: str, folder: Path) -> Any:
    """The PyTorch model of an instance, its Hub-layout folder written with the tokenizer of `tiny`."""
    torch = parity("torch")
    config = config_of(name)
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    gemma = name.startswith("gemma")
    centre = 0.0 if gemma else 1.0  # a Gemma norm multiplies by 1 + weight
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            small = gemma and "embed" in path  # a Gemma scales its embedding up; left as large it would only repeat its input
            parameter.normal_(centre if "norm" in path else 0.0, 0.08 if small else 0.2)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    parts = tiny.make()
    parts.tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(parts.tokenizer_config))
    return model
