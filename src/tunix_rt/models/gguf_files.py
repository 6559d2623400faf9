"""A llama-architecture GGUF file as the parts of a Hub folder, weights dequantised and rows in Hub order, and the way back.

What is written reads back as what it was: in float32 to the bit, in float16 rounded once. Norms stay float32.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gguf
import numpy as np
from tokenizers import Tokenizer

from tunix_rt import errors, values
from tunix_rt.models import shapes
from tunix_rt.models.hub import Parts, byte_bpe, llama_config, tokenizer_config

Kind = TypeVar("Kind")


def read(path: Path) -> Parts:
    """A llama-architecture GGUF file as Hub config, float32 tensors under Hub names, tokenizer and its config.

    `errors.Invalid` names the field or tensor for which there is no place in a plain Llama with SmolLM's tokenizer.
    """
    file = _opened(path)
    if (architecture := file.field("general.architecture", str)) != "llama":
        raise errors.Invalid(f"{path}: architecture {architecture!r}; only 'llama' is converted.", field="general.architecture")
    _refuse_stretched(file)
    tokenizer, told = _tokenizer(file), _tokenizer_config(file)
    names = {tensor.name: _hub_name(path, tensor.name) for tensor in file.tensors}
    config = _config(file, tied="output.weight" not in names)
    shape = shapes.read(config, str(path))
    tensors = {names[tensor.name]: _weight(path, tensor, shape) for tensor in file.tensors}
    return Parts(config, tensors, tokenizer, told)


class _File(NamedTuple):
    """What the reader found: fields as plain values, tensors mapped."""

    path: Path
    fields: dict[str, Any]
    tensors: list[Any]

    def field(self, name: str, kind: type[Kind]) -> Kind:
        value = self.fields.get(name)
        if not isinstance(value, kind):
            found = "is missing" if value is None else f"is {str(value)[:60]!r}, not of type {kind.__name__}"
            raise errors.Invalid(f"{self.path}: the field {name!r} {found}; the file cannot be converted.", field=name)
        return value

    def token(self, name: str) -> int:
        """A token's id, which one of the file's tokens has."""
        token, tokens = self.field(name, int), self.field("tokenizer.ggml.tokens", list)
        if not 0 <= token < len(tokens):
            raise errors.Invalid(f"{self.path}: {name!r} is {token}; there are {len(tokens)} tokens.", field=name)
        return token


def _opened(path: Path) -> _File:
    try:
        reader = gguf.GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
    except (ValueError, IndexError, KeyError) as error:
        raise errors.Invalid(f"{path} is not a whole GGUF file: {error}.", path=str(path)) from error
    return _File(path, fields, reader.tensors)


def _refuse_stretched(file: _File) -> None:
    """A factor without a type is linear scaling, as llama.cpp reads it."""
    factors = [file.fields.get(f"llama.rope.{key}") for key in ("scaling.factor", "scale_linear")]
    stretched = any(factor not in (None, 0, 1) for factor in factors)
    kind = file.fields.get("llama.rope.scaling.type", "linear" if stretched else "none")
    if kind != "none":
        raise errors.Invalid(
            f"{file.path}: RoPE is scaled ('llama.rope.scaling.type' is {kind!r}); of GGUF only plain RoPE is converted, take "
            "the model's safetensors instead.",
            field="llama.rope.scaling.type",
        )


def _weight(path: Path, tensor: Any, shape: shapes.Shape) -> np.ndarray:
    try:
        array = np.ascontiguousarray(gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if tensor.name.endswith("attn_q.weight"):
            return _unpermute(array, shape.heads)
        return _unpermute(array, shape.kv_heads) if tensor.name.endswith("attn_k.weight") else array
    except (ValueError, NotImplementedError) as error:
        raise errors.Invalid(f"{path}: tensor {tensor.name!r} cannot be converted: {error}.", tensor=tensor.name) from error


def _unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Undo the row order GGUF gives q and k for interleaved RoPE. weight: [heads * head_dim, embed]."""
    rows, columns = weight.shape
    return np.ascontiguousarray(weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns))


FIXED = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
INNER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_INNER_NAME = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_OUTER = {hub: name for name, hub in FIXED.items()}
_OUTER_PARTS = {hub: part for part, hub in INNER.items()}


def _hub_name(path: Path, name: str) -> str:
    if name in FIXED:
        return FIXED[name]
    found = _INNER_NAME.fullmatch(name)
    if found is None or found[2] not in INNER:
        raise errors.Invalid(f"{path}: tensor {name!r} has no place in a plain Llama.", tensor=name)
    return f"model.layers.{found[1]}.{INNER[found[2]]}.weight"


def _gguf_name(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_OUTER_PARTS[part]}.weight"


def _config(file: _File, *, tied: bool) -> dict[str, Any]:
    config = llama_config(
        layers=file.field("llama.block_count", int),
        embed=file.field("llama.embedding_length", int),
        hidden=file.field("llama.feed_forward_length", int),
        heads=file.field("llama.attention.head_count", int),
        kv_heads=file.field("llama.attention.head_count_kv", int),
        head_dim=file.field("llama.rope.dimension_count", int),
        vocab=file.field("llama.vocab_size", int),
        rope_theta=file.field("llama.rope.freq_base", float),
        norm_eps=float(f"{file.field('llama.attention.layer_norm_rms_epsilon', float):.6g}"),
        context=file.field("llama.context_length", int),
        tied=tied,
    )
    return config | {f"{which}_token_id": file.token(f"tokenizer.ggml.{which}_token_id") for which in ("bos", "eos")}


def _tokenizer(file: _File) -> Tokenizer:
    kind = (file.field("tokenizer.ggml.model", str), str(file.fields.get("tokenizer.ggml.pre")))
    if kind != ("gpt2", "smollm"):
        raise errors.Invalid(f"{file.path}: tokenizer {'/'.join(kind)!r} is not one this converts (gpt2/smollm).")
    tokens, kinds = file.field("tokenizer.ggml.tokens", list), file.field("tokenizer.ggml.token_type", list)
    vocab = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ")) for merge in file.fields.get("tokenizer.ggml.merges", [])]
    special = [token for token, kind in zip(tokens, kinds, strict=False) if kind == gguf.TokenType.CONTROL]
    return byte_bpe(vocab, merges, special)


def _tokenizer_config(file: _File) -> dict[str, Any]:
    return tokenizer_config(
        file.field("tokenizer.ggml.tokens", list),
        bos=file.token("tokenizer.ggml.bos_token_id"),
        eos=file.token("tokenizer.ggml.eos_token_id"),
        chat_template=file.field("tokenizer.chat_template", str),
        context=file.field("llama.context_length", int),
    )


def write(folder: Path, tensors: Mapping[str, np.ndarray], dtype: str, out: Path, name: str) -> None:
    """A GGUF file from float32 tensors under Hub names and the config and tokenizer of a Hub folder; matrices in `dtype`.

    `errors.Invalid` for what the reader above would not give back: another architecture, stretched RoPE, another tokenizer.
    """
    config, shape = values.read_json(folder / "config.json"), shapes.of_folder(folder)
    if shape.family != "llama" or shape.rope.scaling != "none":
        kind = f"a {shape.family}" if shape.family != "llama" else f"a Llama with {shape.rope.scaling} RoPE scaling"
        raise errors.Invalid(f"{name} is {kind}; GGUF is written of plain Llamas only, use --to safetensors.", form="gguf")
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if dtype == "float16" else gguf.LlamaFileType.ALL_F32)
    _write_shape(writer, shape, config)
    _write_tokenizer(writer, folder)
    for hub, tensor in tensors.items():
        array = np.ascontiguousarray(tensor, np.float32)
        if hub.endswith(("q_proj.weight", "k_proj.weight")):
            array = _permute(array, shape.heads if hub.endswith("q_proj.weight") else shape.kv_heads)
        writer.add_tensor(_gguf_name(hub), array.astype(np.float16) if dtype == "float16" and array.ndim > 1 else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of `_unpermute`."""
    rows, columns = weight.shape
    return np.ascontiguousarray(weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns))


def _write_shape(writer: gguf.GGUFWriter, shape: shapes.Shape, config: dict[str, Any]) -> None:
    writer.add_block_count(shape.layers)
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(shape.embed)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope.theta)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocab)


def _write_tokenizer(writer: gguf.GGUFWriter, folder: Path) -> None:
    """`pre` names SmolLM's way to cut text, which is the one that is checked to be there."""
    told = values.read_json(folder / "tokenizer_config.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    inner = json.loads(tokenizer.to_str())
    cuts = [(cut["type"], cut.get("individual_digits")) for cut in (inner["pre_tokenizer"] or {}).get("pretokenizers", [])]
    if inner["model"]["type"] != "BPE" or cuts != [("Digits", True), ("ByteLevel", None)]:
        raise errors.Invalid(
            f"{folder}: GGUF is written of SmolLM's tokenizer only (byte-level BPE, digits apart); use --to safetensors.",
            form="gguf",
        )
    special = {added["id"] for added in inner["added_tokens"] if added["special"]}
    vocab = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda pair: pair[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([token for token, _ in vocab])
    writer.add_token_types([gguf.TokenType.CONTROL if index in special else gguf.TokenType.NORMAL for _, index in vocab])
    if inner["model"]["merges"]:
        writer.add_token_merges([" ".join(merge) for merge in inner["model"]["merges"]])
    index_of = dict(vocab)
    writer.add_bos_token_id(index_of[_text(told["bos_token"])])
    writer.add_eos_token_id(index_of[_text(told["eos_token"])])
    writer.add_chat_template(_template(folder, told))


def _text(token: Any) -> str:
    """A special token as its text, or as `transformers` writes it with its properties."""
    return str(token["content"] if isinstance(token, dict) else token)


def _template(folder: Path, told: dict[str, Any]) -> str:
    apart = folder / "chat_template.jinja"
    return values.read_text(apart) if apart.is_file() else str(told["chat_template"])
