"""`tiny`: two random llama layers and a byte tokenizer, made from a seed, for tests that take seconds."""

import numpy as np
from tokenizers import pre_tokenizers

from tunix_rt.models.hub import Parts, byte_bpe, llama_config, tokenizer_config

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make() -> Parts:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate(special + alphabet)}
    shape = {"layers": 2, "embed": 64, "hidden": 128, "heads": 4, "kv_heads": 2, "head_dim": 16, "vocab": len(vocab)}
    config = llama_config(**shape, rope_theta=100_000.0, norm_eps=1e-5, context=4096, tied=True)
    template = tokenizer_config(list(vocab), bos=1, eos=2, chat_template=CHATML, context=4096)
    return Parts(config, _tensors(**shape), byte_bpe(vocab, [], special), template)


def _tensors(
    *, layers: int, embed: int, hidden: int, heads: int, kv_heads: int, head_dim: int, vocab: int
) -> dict[str, np.ndarray]:
    rng = np.random.Generator(np.random.PCG64(0))

    def matrix(rows: int, columns: int) -> np.ndarray:
        bound = (3.0 / columns) ** 0.5
        return np.asarray((2.0 * rng.random((rows, columns)) - 1.0) * bound, np.float32)

    tensors = {"model.embed_tokens.weight": matrix(vocab, embed), "model.norm.weight": np.ones(embed, np.float32)}
    for layer in range(layers):
        shapes = {
            "self_attn.q_proj": (heads * head_dim, embed),
            "self_attn.k_proj": (kv_heads * head_dim, embed),
            "self_attn.v_proj": (kv_heads * head_dim, embed),
            "self_attn.o_proj": (embed, heads * head_dim),
            "mlp.gate_proj": (hidden, embed),
            "mlp.up_proj": (hidden, embed),
            "mlp.down_proj": (embed, hidden),
        }
        for name, (rows, columns) in shapes.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = matrix(rows, columns)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{norm}.weight"] = np.ones(embed, np.float32)
    return tensors
