"""Exported folders opened by the trainers' own loaders. Run it with the Python of an environment that holds one of them.

    tunix-rt data export NAME --to FORMAT --out FOLDER/FORMAT      for each FORMAT that is to be looked at
    PYTHON benchmarks/loaders.py FOLDER

It needs no other file: the tokenizer is made here (every byte a token, ChatML turns), so what is trained on can be decoded and
compared with the exported row to the letter. A tool that is not installed, or a folder that is not there, is named as such.
It imports nothing of tunix_rt: these tools want other versions of its libraries. Exit code 1 means that a tool reads another
text than was written.
"""

# ruff: noqa: PLC0415  each of these tools is there only in its own environment

import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "DISABLE_VERSION_CHECK": "1", "CUDA_VISIBLE_DEVICES": ""}
os.environ |= {"AXOLOTL_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LONGEST = 8_192
Row = dict[str, Any]


class Different(Exception):
    """A tool read a row as something else."""


def tokenizer() -> Any:
    """One token a byte, so that decoding gives the text back exactly."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(tokenizers.models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<|pad|>"]
    made.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=special[1], pad_token=special[2])
    fast.chat_template, fast.model_max_length, fast.name_or_path = TEMPLATE, LONGEST, "bytes"
    return fast


def tiny_model(folder: str) -> str:
    """A model too small to learn anything, for trainers that want one before they look at data."""
    import transformers

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.LlamaConfig(vocab_size=300, max_position_embeddings=LONGEST, **sizes)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def rows(folder: Path) -> list[Row]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().split("\n") if line]


def trained(ids: Sequence[int], labels: Sequence[int]) -> str:
    """The text of the tokens that count for the loss; tools keep either the label or the token there."""
    return str(TOKENIZER.decode([token for token, label in zip(ids, labels, strict=True) if label != -100]))


def same(name: str, got: Sequence[str], want: Sequence[str]) -> str:
    if len(got) != len(want):
        raise Different(f"{name}: {len(got)} rows of {len(want)}")
    for number, (one, other) in enumerate(zip(got, want, strict=True), start=1):
        if one != other:
            raise Different(f"{name}, row {number}: read {one[:300]!r}, written {other[:300]!r}")
    return f"{name}: {len(got)} rows, the same text"


# ── LLaMA-Factory ───────────────────────────────────────────────────────────────────────────────────────────────────


def llamafactory(root: Path) -> Iterator[str]:
    """`get_dataset` of the supervised stage with the folder's dataset_info.json."""
    yield from _without_sound()
    for name in ("alpaca", "sharegpt"):
        if (root / name).is_dir():
            written = rows(root / name)
            yield same(name, *_llamafactory(root / name, written, name == "alpaca"))


def _without_sound() -> Iterator[str]:
    """It imports torchaudio before anything else; where that finds no CUDA library, an empty module does for text."""
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError) as error:
        empty = types.ModuleType("torchaudio")
        empty.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
        sys.modules["torchaudio"] = empty
        yield f"note: torchaudio cannot be loaded here and is left empty: {str(error)[:60]!r}"


def _llamafactory(folder: Path, written: list[Row], alpaca: bool) -> tuple[list[str], list[str]]:
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    (dataset,) = json.loads((folder / "dataset_info.json").read_text())
    data = DataArguments(dataset=dataset, dataset_dir=str(folder), template="chatml", cutoff_len=LONGEST, overwrite_cache=True)
    model = ModelArguments(model_name_or_path="bytes", cache_dir=tempfile.mkdtemp())
    with tempfile.TemporaryDirectory() as out:
        arguments = Seq2SeqTrainingArguments(output_dir=out, do_train=True, report_to=[])
        template = get_template_and_fix_tokenizer(TOKENIZER, data)
        found = get_dataset(template, model, data, arguments, stage="sft", tokenizer=TOKENIZER)["train_dataset"]
    got = [
        TOKENIZER.decode(row["input_ids"]).rpartition("<|im_start|>user\n")[2] + "|" + trained(row["input_ids"], row["labels"])
        for row in found
    ]
    pairs = [
        (row["instruction"], row["output"]) if alpaca else (turn["value"] for turn in row["conversations"]) for row in written
    ]
    turn = "{0}<|im_end|>\n<|im_start|>assistant\n{1}<|im_end|>\n|{1}<|im_end|>\n"
    return got, [turn.format(*pair) for pair in pairs]


# ── Axolotl ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def axolotl(root: Path) -> Iterator[str]:
    """`prepare_datasets` with the entry of axolotl.yaml; also its stepwise strategy on the TRL folder."""
    if (root / "axolotl").is_dir():
        import yaml

        entry = yaml.safe_load((root / "axolotl" / "axolotl.yaml").read_text())["datasets"][0]
        found = _axolotl({**entry, "path": str(root / "axolotl" / entry["path"])})
        want = [f"{row['messages'][1]['content']}<|im_end|>" for row in rows(root / "axolotl")]
        got = [trained(row["input_ids"], row["labels"]).removesuffix("\n") for row in found]
        yield same("axolotl", sorted(got), sorted(want))
    if (root / "trl-stepwise").is_dir():
        entry = {"path": str(root / "trl-stepwise" / "train.jsonl"), "ds_type": "json", "type": "stepwise_supervised"}
        found = _axolotl({**entry, "step_separator": "\n"}, process_reward_model=True)
        want = [_judged(row) for row in rows(root / "trl-stepwise")]
        yield same("trl-stepwise", sorted(_labels(row["labels"]) for row in found), sorted(want))


def _axolotl(entry: Row, **more: Any) -> Any:
    from axolotl.utils.data.sft import prepare_datasets
    from axolotl.utils.dict import DictDefault

    with tempfile.TemporaryDirectory() as out:
        sizes = {"sequence_len": LONGEST, "micro_batch_size": 1, "gradient_accumulation_steps": 1, "num_epochs": 1}
        config = {"datasets": [entry], "dataset_prepared_path": out, "val_set_size": 0, "seed": 1, "dataset_num_proc": 1}
        names = {
            "tokenizer_config": "bytes",
            "base_model": "bytes",
            "chat_template": "tokenizer_default",
            "train_on_inputs": False,
        }
        made = DictDefault({**config, **sizes, **names, "output_dir": out, "world_size": 1, "batch_size": 1, **more})
        found, *_ = prepare_datasets(made, TOKENIZER)
        return [dict(row) for row in found]


def _labels(labels: Sequence[int]) -> str:
    return "".join("ft"[label] for label in labels if label != -100)


def _judged(row: Row) -> str:
    return "".join("ft"[label] for label in row["labels"])


# ── TRL ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def trl(root: Path) -> Iterator[str]:
    """The format checkers, and the data preparation of SFTTrainer, DPOTrainer and (where this version has it) PRMTrainer."""
    from trl.data_utils import is_conversational

    told = {"trl-messages": True, "trl-prompt-completion": False, "trl-preference": False, "trl-preference-messages": True}
    for name, conversational in told.items():
        if (root / name).is_dir() and not all(is_conversational(row) == conversational for row in rows(root / name)):
            raise Different(f"{name}: is_conversational is not {conversational}")
    for name, check in (
        ("trl-stepwise", _prm),
        ("trl-messages", _sft), ("openai-chat", _sft), ("trl-messages-think", _sft), ("trl-prompt-completion", _sft),
        ("trl-preference", _dpo), ("trl-preference-messages", _dpo),
    ):  # fmt: skip
        if (root / name).is_dir():
            yield check(root / name)


def _loaded(folder: Path) -> Any:
    import datasets

    return datasets.load_dataset("json", data_files=str(folder / "train.jsonl"), split="train", cache_dir=tempfile.mkdtemp())


def _chat(said: str) -> str:
    return f"<|im_start|>assistant\n{said}<|im_end|>\n"


def _sft(folder: Path) -> str:
    import trl as library

    with tempfile.TemporaryDirectory() as out:
        options = library.SFTConfig(output_dir=out, max_length=LONGEST, report_to=[], use_cpu=True, bf16=False)
        made = library.SFTTrainer(tiny_model(out), options, train_dataset=_loaded(folder), processing_class=TOKENIZER)
        got = [TOKENIZER.decode(row["input_ids"]) for row in made.train_dataset]
    turn = "<|im_start|>{role}\n{content}<|im_end|>\n"
    want = [
        "".join(turn.format(**message) for message in row["messages"])
        if "messages" in row
        else row["prompt"] + row["completion"] + "<|im_end|>"
        for row in rows(folder)
    ]
    return same(f"{folder.name} (SFTTrainer)", got, want)


def _dpo(folder: Path) -> str:
    import trl as library

    with tempfile.TemporaryDirectory() as out:
        options = library.DPOConfig(output_dir=out, max_length=LONGEST, report_to=[], use_cpu=True, bf16=False)
        made = library.DPOTrainer(tiny_model(out), None, options, train_dataset=_loaded(folder), processing_class=TOKENIZER)
        got = ["|".join(_decoded(row)) for row in made.train_dataset]
    want = []
    for row in rows(folder):
        if isinstance(row["prompt"], str):
            parts = (row["prompt"], row["chosen"] + "<|im_end|>", row["rejected"] + "<|im_end|>")
        else:
            asked, chosen, rejected = (row[key][0]["content"] for key in ("prompt", "chosen", "rejected"))
            asked = f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n"
            parts = (asked, chosen + "<|im_end|>\n", rejected + "<|im_end|>\n")
        want.append("|".join(parts))
    return same(f"{folder.name} (DPOTrainer)", got, want)


def _decoded(row: Row) -> list[str]:
    names = [("prompt_ids", "chosen_ids", "rejected_ids"), ("prompt_input_ids", "chosen_input_ids", "rejected_input_ids")]
    keys = next(keys for keys in names if keys[0] in row)
    return [TOKENIZER.decode(row[key]) for key in keys]


def _prm(folder: Path) -> str:
    try:
        from trl.trainer.prm_trainer import PRMTrainer
    except ImportError:
        return f"note: {folder.name}: this version of TRL has no PRMTrainer, not checked"
    options = {"step_separator": "\n", "max_length": None, "max_prompt_length": None, "max_completion_length": None}
    options |= {"train_on_last_step_only": False, "is_eval": False}
    found = [PRMTrainer.tokenize_row(row, TOKENIZER, **options) for row in _loaded(folder)]
    got = [TOKENIZER.decode(row["input_ids"]) + _labels(row["labels"]) for row in found]
    want = [row["prompt"] + "".join(f"{step}\n" for step in row["completions"]) + _judged(row) for row in rows(folder)]
    return same(f"{folder.name} (PRMTrainer)", got, want)


# ── datasets and Harbor ─────────────────────────────────────────────────────────────────────────────────────────────


def datasets(root: Path) -> Iterator[str]:
    """`load_dataset` on every folder as it lies there."""
    import datasets as library

    for folder in sorted(path for path in root.iterdir() if (path / "export.json").is_file()):
        found = library.load_dataset(str(folder), data_files=_data(folder), cache_dir=tempfile.mkdtemp())["train"]
        want = json.loads((folder / "export.json").read_text())["rows"]
        if found.num_rows != want:
            raise Different(f"{folder.name}: {found.num_rows} rows of {want}")
        yield f"{folder.name}: {want} rows, columns {', '.join(found.column_names)}"


def _data(folder: Path) -> str | None:
    return "train.jsonl" if (folder / "train.jsonl").is_file() else None


def harbor(root: Path) -> Iterator[str]:
    """Harbor's own model of an ATIF trajectory."""
    from harbor.models.trajectories import Trajectory

    if (root / "atif").is_dir():
        written = rows(root / "atif")
        found = [Trajectory.model_validate(row).to_json_dict() for row in written]
        yield same("atif", *([json.dumps(row, sort_keys=True) for row in both] for both in (found, written)))


TOOLS: dict[str, Callable[[Path], Iterator[str]]] = {
    "llamafactory": llamafactory,
    "axolotl": axolotl,
    "trl": trl,
    "datasets": datasets,
    "harbor": harbor,
}


def main(root: Path, names: Sequence[str]) -> int:
    failed = 0
    for name in names or TOOLS:
        if importlib.util.find_spec(name) is None:
            print(f"{name}: not installed here, not checked")
            continue
        print(f"{name} {importlib.metadata.version(name)}")
        try:
            for line in TOOLS[name](root):
                print(f"  {'':10}" if line.startswith("note: ") else "  ok        ", line, flush=True)
        except Different as error:
            failed += 1
            print(f"  DIFFERENT  {error}")
    return min(failed, 1)


if __name__ == "__main__":
    TOKENIZER = tokenizer() if importlib.util.find_spec("transformers") else None
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
