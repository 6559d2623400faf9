"""What a Hub `config.json` says a model computes, as one value, or a refusal that names the key.

Only what Tunix's models compute is accepted: a key that would change the arithmetic and has no counterpart there is refused,
never dropped. Keys that only older or newer releases of `transformers` write (`rope_theta` and `rope_scaling`, or
`rope_parameters`) mean the same.
"""

from pathlib import Path
from typing import Any, Literal

from tunix_rt import errors, values
from tunix_rt.values import Value

Family = Literal["llama", "gemma2", "gemma3", "qwen2", "qwen3"]
MODEL_TYPES: dict[str, Family] = {
    "llama": "llama",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
}
SUPPORTED = "Llama (SmolLM2, TinyLlama, Llama 3), Gemma 2, Gemma 3 text, Qwen 2.5 and Qwen 3, all dense"
_GEMMA: dict[str, Any] = {
    "hidden_activation": "gelu_pytorch_tanh",
    "attention_bias": False,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "use_bidirectional_attention": None,
}
# What Tunix's models have built in: (family, key) may only hold this value, which is also the default of `transformers`.
FIXED: dict[Family, dict[str, Any]] = {
    "llama": {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False},
    "qwen2": {"hidden_act": "silu", "use_sliding_window": False},
    "qwen3": {"hidden_act": "silu", "attention_bias": False, "use_sliding_window": False},
    "gemma2": _GEMMA,
    "gemma3": {**_GEMMA, "attn_logit_softcapping": None, "final_logit_softcapping": None},
}
SCALINGS: dict[Family, tuple[str, ...]] = {"llama": ("linear", "llama3"), "gemma3": ("linear",)}
_THETA: dict[Family, float] = {"gemma3": 1_000_000.0}


class Rope(Value):
    """Rotary embedding: base, and how its frequencies are stretched. `low`, `high` and `context` belong to llama3."""

    theta: float
    scaling: Literal["none", "linear", "llama3"] = "none"
    factor: float = 1.0
    low: float = 1.0
    high: float = 4.0
    context: int = 8192


class Shape(Value):
    """The model was made for `context` tokens. `local` says of each layer whether it sees only `window` positions; it then
    rotates by `local_rope`.

    Scores are scaled by `query_scalar` ** -0.5 and, with a cap c, become c * tanh(score / c); so do the final logits.
    """

    family: Family
    layers: int
    embed: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    norm_eps: float
    tied: bool
    rope: Rope
    local_rope: Rope
    local: tuple[bool, ...]
    window: int | None
    query_scalar: float
    attention_cap: float | None
    final_cap: float | None

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of a layer's seven matrices."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q": (self.embed, queries), "k": (self.embed, keys), "v": (self.embed, keys), "o": (queries, self.embed),
            "gate": (self.embed, self.hidden), "up": (self.embed, self.hidden), "down": (self.hidden, self.embed),
        }  # fmt: skip

    @property
    def layer_parameters(self) -> int:
        """Of all layers, embeddings left out: matrices, norms, and the biases that Qwen 2 has."""
        norms = (4 if self.family in ("gemma2", "gemma3") else 2) * self.embed
        heads = 2 * self.head_dim if self.family in ("qwen3", "gemma3") else 0
        biases = (self.heads + 2 * self.kv_heads) * self.head_dim if self.family == "qwen2" else 0
        return self.layers * (sum(a * b for a, b in self.projections.values()) + norms + heads + biases)

    @property
    def parameters(self) -> int:
        return self.layer_parameters + self.vocab * self.embed * (1 if self.tied else 2) + self.embed


def of_folder(folder: Path) -> Shape:
    """What the `config.json` of a Hub-layout folder says; `errors.Invalid` for what Tunix's models do not compute."""
    return read(values.read_json(folder / "config.json"), str(folder / "config.json"))


def read(config: dict[str, Any], source: str) -> Shape:
    """The shape that a `config.json` describes. `errors.Invalid` names the key that Tunix's models cannot follow."""
    family = _family(config, source)
    for key, wanted in {**FIXED[family], "partial_rotary_factor": 1.0}.items():
        given = config.get(key, wanted)
        if given != wanted and (given, wanted) != (False, None):
            raise _refusal(source, key, given, f"Tunix's {family} has {wanted!r}")
    full, local = _ropes(config, family, source)
    embed, heads = _number(config, "hidden_size", source), _number(config, "num_attention_heads", source)
    layers = _number(config, "num_hidden_layers", source)
    head_dim = int(config.get("head_dim") or embed // heads)
    sliding = _sliding(config, family, layers, source)
    return Shape(
        family=family,
        layers=layers,
        embed=embed,
        hidden=_number(config, "intermediate_size", source),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=head_dim,
        vocab=_number(config, "vocab_size", source),
        context=_context(config, family, full, source),
        norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        tied=bool(config.get("tie_word_embeddings", family.startswith("gemma"))),
        rope=full,
        local_rope=local,
        local=sliding,
        window=_number(config, "sliding_window", source) if any(sliding) else None,
        query_scalar=_query_scalar(config, family, embed // heads, head_dim, source),
        attention_cap=config.get("attn_logit_softcapping") if family == "gemma2" else None,
        final_cap=config.get("final_logit_softcapping") if family == "gemma2" else None,
    )


def _family(config: dict[str, Any], source: str) -> Family:
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise _refusal(source, "model_type", kind, f"supported are {SUPPORTED} ({', '.join(MODEL_TYPES)})")
    if config.get("quantization_config"):
        raise _refusal(source, "quantization_config", "set", "weights must be float32, bfloat16 or float16")
    return MODEL_TYPES[kind]


def _number(config: dict[str, Any], key: str, source: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise _refusal(source, key, value, "a positive whole number is needed")
    return value


def _context(config: dict[str, Any], family: Family, rope: Rope, source: str) -> int:
    """In tokens. A Llama with linear scaling tells what it had before that; Gemma 3, and llama3 scaling, what they have now."""
    told = _number(config, "max_position_embeddings", source)
    return int(told * rope.factor) if family == "llama" and rope.scaling == "linear" else told


def _refusal(source: str, key: str, value: object, reason: str) -> errors.Invalid:
    return errors.Invalid(f"{source}: {key!r} is {value!r}; {reason}.", field=key, path=source)


def _sliding(config: dict[str, Any], family: Family, layers: int, source: str) -> tuple[bool, ...]:
    """Which layers look back over a window only. Without `layer_types` it follows from the family's pattern."""
    every = {"gemma2": 2, "gemma3": int(config.get("sliding_window_pattern") or config.get("_sliding_window_pattern") or 6)}
    period = every.get(family, 1)
    derived = ["sliding_attention" if (layer + 1) % period else "full_attention" for layer in range(layers)]
    types = config.get("layer_types") or derived
    known = ("full_attention", "sliding_attention") if family in every else ("full_attention",)
    if len(types) != layers or not set(types) <= set(known):
        raise _refusal(source, "layer_types", types, f"each of the {layers} layers is one of {', '.join(known)}")
    return tuple(kind == "sliding_attention" for kind in types)


def _ropes(config: dict[str, Any], family: Family, source: str) -> tuple[Rope, Rope]:
    """The rotations of full and of sliding layers; only Gemma 3 has two."""
    given = config.get("rope_parameters")
    theta = float(config.get("rope_theta") or _THETA.get(family, 10_000.0))
    if family != "gemma3":
        rope = _rope(given or config.get("rope_scaling") or {}, theta, family, source)
        return rope, rope
    if given:
        full, local = given.get("full_attention", {}), given.get("sliding_attention", {})
    else:
        full, local = config.get("rope_scaling") or {}, {"rope_theta": config.get("rope_local_base_freq", 10_000.0)}
    return _rope(full, theta, family, source), _rope(local, 10_000.0, family, source)


def _rope(given: dict[str, Any], theta: float, family: Family, source: str) -> Rope:
    kind = given.get("rope_type", given.get("type", "default"))
    theta = float(given.get("rope_theta", theta))
    if kind == "default":
        for key, value in given.items():  # also `rope_scaling` without a type: its factor would be lost
            if key not in ("rope_type", "type", "rope_theta") and value not in (None, 1):
                raise _refusal(source, key, value, "plain RoPE has no such number; a 'rope_type' says what it means")
        return Rope(theta=theta)
    allowed = SCALINGS.get(family, ())
    if kind not in allowed:
        raise _refusal(source, "rope_type", kind, f"{family} here has {', '.join(('default', *allowed))}")
    extra = {"low": "low_freq_factor", "high": "high_freq_factor", "context": "original_max_position_embeddings"}
    wanted = {"factor": "factor", **(extra if kind == "llama3" else {})}
    missing = [key for key in wanted.values() if key not in given]
    if missing:
        raise _refusal(source, missing[0], None, f"RoPE of type {kind!r} needs it")
    return Rope.parse({"theta": theta, "scaling": kind, **{name: given[key] for name, key in wanted.items()}}, source=source)


def _query_scalar(config: dict[str, Any], family: Family, width: int, head_dim: int, source: str) -> float:
    """Gemma names the divisor; Tunix has head_dim and, in Gemma 3, embed // heads."""
    if family not in ("gemma2", "gemma3"):
        return float(head_dim)
    scalar = float(config.get("query_pre_attn_scalar", 256))
    allowed = (head_dim, width) if family == "gemma3" else (head_dim,)
    if scalar not in allowed:
        raise _refusal(source, "query_pre_attn_scalar", scalar, f"Tunix's {family} has {' or '.join(map(str, allowed))}")
    return scalar
