"""A run's weights as GGUF read back, through our own import, as what they were."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from tunix_rt import errors, models, settings, values
from tunix_rt.engine import exports, weights
from tunix_rt.jobs import ExportJob, Full, Inputs
from tunix_rt.models import BaseModel, gguf_files
from tunix_rt.models import tiny as tiny_model
from tunix_rt.models.hub import Parts, llama_config
from tunix_rt.runs import exports as run_exports

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Tunix 0.1.7 calls much that flax and jax now deprecate
SMOL = {"layers": 2, "embed": 576, "hidden": 96, "heads": 9, "kv_heads": 3, "head_dim": 64, "vocab": 259}
"""SmolLM2-135M's attention: heads that its KV heads are shared by, nine of them."""


def folder_of(parts: Parts, folder: Path) -> Path:
    folder.mkdir()
    values.write_json(folder / "config.json", parts.config)
    parts.tokenizer.save(str(folder / "tokenizer.json"))
    values.write_json(folder / "tokenizer_config.json", parts.tokenizer_config)
    save_file(parts.tensors, folder / "model.safetensors")
    return folder


def smol(**changes: Any) -> Parts:
    """Random weights of that shape, untied, with the tokenizer of `tiny`."""
    sizes = {**SMOL, **changes}
    config = llama_config(**sizes, rope_theta=100_000.0, norm_eps=1e-5, context=2048, tied=False)
    rng = np.random.default_rng(1)
    made = {**tiny_model._tensors(**sizes), "lm_head.weight": rng.normal(size=(259, 576))}
    tensors = {name: np.asarray(rng.normal(size=tensor.shape), np.float32) for name, tensor in made.items()}
    return tiny_model.make()._replace(config=config, tensors=tensors)


def same(read: Parts, parts: Parts, dtype: str = "float32") -> bool:
    def kept(name: str) -> np.ndarray:
        tensor = parts.tensors[name]
        return tensor.astype(np.float16).astype(np.float32) if dtype == "float16" and tensor.ndim > 1 else tensor

    return read.tensors.keys() == parts.tensors.keys() and all(
        np.array_equal(read.tensors[name], kept(name)) for name in parts.tensors
    )


def edited(path: Path, fields: dict[str, Any], tensors: Sequence[str] = ()) -> Path:
    """A copy of a GGUF file with other fields (None leaves one out) and further tensors, a row of zeros each."""
    reader, copy = gguf.GGUFReader(path), path.with_name("edited.gguf")
    kept = {name: (field.contents(), field.types) for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    given = {name: (value, [gguf.GGUFValueType.get_type(value)]) for name, value in fields.items() if value is not None}
    writer = gguf.GGUFWriter(copy, "llama")
    for name, (value, types) in {**kept, **given}.items():
        if name != "general.architecture" and fields.get(name, value) is not None:
            writer.add_key_value(name, value, types[0], sub_type=types[1] if len(types) > 1 else None)
    if "general.architecture" in fields:
        writer.kv_data[0]["general.architecture"].value = fields["general.architecture"]
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data))
    for name in tensors:
        writer.add_tensor(name, np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return copy


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` as GGUF."""
    parts, folder = tiny_model.make(), tmp_path_factory.mktemp("small")
    gguf_files.write(folder_of(parts, folder / "hub"), parts.tensors, "float32", folder / "m.gguf", "m")
    return folder / "m.gguf"


UNREADABLE: list[tuple[dict[str, Any], list[str], str]] = [
    ({"general.architecture": "mamba"}, [], "architecture 'mamba'"),
    ({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}, [], "'llama.rope.scaling.type' is 'linear'"),
    ({"llama.rope.scaling.type": "yarn"}, [], "'llama.rope.scaling.type' is 'yarn'"),
    ({"llama.rope.scaling.factor": 4.0}, [], "'llama.rope.scaling.type' is 'linear'"),
    ({"llama.rope.scale_linear": 2.0}, [], "'llama.rope.scaling.type' is 'linear'"),
    ({}, ["rope_freqs.weight"], "tensor 'rope_freqs.weight' has no place"),
    ({}, ["blk.0.attn_q.bias"], "tensor 'blk.0.attn_q.bias' has no place"),
    ({}, ["blk.0.ffn_gate_exps.weight"], "tensor 'blk.0.ffn_gate_exps.weight' has no place"),
    ({"tokenizer.ggml.tokens": None}, [], "'tokenizer.ggml.tokens' is missing"),
    ({"llama.attention.head_count_kv": None}, [], "'llama.attention.head_count_kv' is missing"),
    ({"llama.attention.head_count_kv": "two"}, [], "'llama.attention.head_count_kv' is 'two', not of type int"),
    ({"llama.attention.head_count": 0}, [], "'num_attention_heads' is 0"),
    ({"llama.attention.head_count": 7}, [], "tensor 'blk.0.attn_q.weight' cannot be converted"),
    ({"tokenizer.chat_template": None}, [], "'tokenizer.chat_template' is missing"),
    ({"tokenizer.ggml.eos_token_id": 259}, [], "'tokenizer.ggml.eos_token_id' is 259; there are 259 tokens"),
    ({"tokenizer.ggml.pre": "llama-bpe"}, ["rope_freqs.weight"], "tokenizer 'gpt2/llama-bpe'"),
]


@pytest.mark.parametrize(("fields", "tensors", "message"), UNREADABLE)
def test_a_gguf_file_that_would_be_another_model_is_refused_by_name(
    small: Path, fields: dict[str, Any], tensors: list[str], message: str
) -> None:
    with pytest.raises(errors.Invalid, match=re.escape(message)):
        gguf_files.read(edited(small, fields, tensors))


@pytest.mark.parametrize("fields", [{}, {"llama.rope.scaling.type": "none"}, {"llama.rope.scaling.factor": 1.0}])
def test_what_changes_nothing_in_a_gguf_file_is_read(small: Path, fields: dict[str, Any]) -> None:
    """Control for the test above."""
    assert same(gguf_files.read(edited(small, fields)), tiny_model.make())


def test_the_ends_of_text_of_a_gguf_file_stand_in_its_config(small: Path) -> None:
    read = gguf_files.read(edited(small, {"tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.eos_token_id": 1}))
    assert (read.config["bos_token_id"], read.config["eos_token_id"]) == (0, 1)
    assert (read.tokenizer_config["bos_token"], read.tokenizer_config["eos_token"]) == ("<|endoftext|>", "<|im_start|>")


@pytest.mark.parametrize("kept", [0, 3, 20, 400, 20_000])
def test_what_is_no_whole_gguf_file_is_refused(small: Path, tmp_path: Path, kept: int) -> None:
    home, cut = settings.load(tmp_path / "home", {}), tmp_path / "cut.gguf"
    cut.write_bytes(small.read_bytes()[:kept])
    with pytest.raises(errors.Invalid, match=r"cut\.gguf is not a whole GGUF file"):
        models.fetch(home, str(cut))
    assert "cut" not in models.known(home)
    (tmp_path / "notes.gguf").write_text("a list of things to do\n")
    with pytest.raises(errors.Invalid, match=r"notes\.gguf is not a whole GGUF file: GGUF magic invalid"):
        models.fetch(home, str(tmp_path / "notes.gguf"))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_is_written_reads_back_as_what_it_was(tmp_path: Path, dtype: str) -> None:
    parts = smol()
    gguf_files.write(folder_of(parts, tmp_path / "hub"), parts.tensors, dtype, tmp_path / "m.gguf", "m")
    read = gguf_files.read(tmp_path / "m.gguf")
    assert same(read, parts, dtype)
    assert {key: read.config[key] for key in parts.config} == parts.config
    assert read.tokenizer_config == parts.tokenizer_config | {"model_max_length": 2048}
    text = "<|im_start|>user\n48 / 2 = 24, “naïve”<|im_end|>"
    assert read.tokenizer.encode(text).ids == parts.tokenizer.encode(text).ids


def test_rows_in_hub_order_would_be_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the test above."""
    parts = smol()
    monkeypatch.setattr(gguf_files, "_permute", lambda weight, _heads: weight)
    gguf_files.write(folder_of(parts, tmp_path / "hub"), parts.tensors, "float32", tmp_path / "m.gguf", "m")
    assert not same(gguf_files.read(tmp_path / "m.gguf"), parts)


def test_a_run_as_gguf_is_pulled_again_with_the_tuned_weights(tiny: BaseModel, tmp_path: Path) -> None:
    """Through the export job and `models pull`: the weights of its safetensors, not those of the base."""
    model: Any = weights.load(tiny.folder)
    norm = model.final_norm.w
    norm.set_value(norm[...] * 1.5)
    for _, leaf in nnx.to_flat_state(nnx.state(model.layers[0].attn, nnx.Param)):
        leaf.set_value(leaf[...] + 0.25)
    digest = weights.save_adapter(model, Full(), tiny.digest, tmp_path / "adapter")
    names = {"run_id": "r", "model": "tiny", "model_digest": tiny.digest, "adapter_digest": digest}
    for form in ("gguf", "merged"):
        job = ExportJob.parse({**names, "form": form}, source="test")
        facts = exports.export(job, Inputs(model=tiny.folder, dataset=tmp_path, adapter=tmp_path / "adapter"), tmp_path / form)
        assert facts["tensors"] == 20
    home = settings.load(tmp_path / "home", {})
    pulled = models.fetch(home, str(tmp_path / "gguf" / "export" / "model.gguf"), name="again")
    found, merged = load_file(pulled.folder / "model.safetensors"), load_file(tmp_path / "merged/export/model.safetensors")
    assert found.keys() == merged.keys()
    assert all(np.array_equal(found[name], merged[name]) for name in merged)
    base = load_file(tiny.folder / "model.safetensors")
    assert not np.array_equal(found["model.layers.0.self_attn.q_proj.weight"], base["model.layers.0.self_attn.q_proj.weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "a Llama with linear RoPE scaling"),
        ({"model_type": "qwen3"}, "is a qwen3"),
    ],
)
def test_what_would_not_read_back_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    parts = tiny_model.make()
    folder = folder_of(parts._replace(config={**parts.config, **changes}), tmp_path / "hub")
    with pytest.raises(errors.Invalid, match=message):
        gguf_files.write(folder, parts.tensors, "float32", tmp_path / "m.gguf", "m")
    assert not (tmp_path / "m.gguf").exists()


def test_another_tokenizer_is_refused_and_so_is_half_precision_elsewhere(tmp_path: Path) -> None:
    parts = tiny_model.make()
    folder = folder_of(parts, tmp_path / "hub")
    other = values.read_json(folder / "tokenizer.json")
    values.write_json(folder / "tokenizer.json", {**other, "pre_tokenizer": {"type": "Whitespace"}})
    with pytest.raises(errors.Invalid, match="SmolLM's tokenizer only"):
        gguf_files.write(folder, parts.tensors, "float32", tmp_path / "m.gguf", "m")
    with pytest.raises(errors.Invalid, match="--dtype float16 is for --to gguf"):
        run_exports.job_of(None, "merged", "float16")  # type: ignore[arg-type]
