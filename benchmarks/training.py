"""Fine-tuning with LoRA: our step against Tunix's examples' and against PyTorch with PEFT.

    python benchmarks/training.py [--dataset dev-reasoning-v2] [--rounds 2] [--steps 6] [--curve 0]
    python benchmarks/training.py --device gpu --dtype bfloat16 --shape benchmarks/llama-1b.json --scale 8 --steps 20

All see the same traces in the same order, the same LoRA, optimizer and schedule. `tunix` pads one trace a row to 256 tokens, 8
rows a step, with the default loss. `peft` is a plain PyTorch loop: 8 traces a step, padded to the longest of them. `ours` is
recipes/train/sft_demo.toml in the environment of an engine (huge pages, which change nothing for PyTorch); what the traces of a
row begin with is computed once there and counts for each, as for the others. `--scale` makes every step so many times as large.
The model is SmolLM2-135M, or one of the shape of a Hub config.json with random weights, which cost what trained ones do. Each
case runs in a process of its own, in turn, and counts useful tokens only (tokens of traces, no padding). The medians of the
steps after the first are compared; model FLOPs are those that the useful tokens need (two passes over the frozen weights, one
more for what is trained), whatever else was computed, and none for what was shared. With `--curve N`, every case trains on for
N steps and tells how many seconds of training it took until the mean loss of eight steps, of traces none of which it had seen,
fell under 0.5.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from tunix.sft import utils
from tunix.sft.peft_trainer import PeftTrainer, TrainingConfig, TrainingInput

from tunix_rt import datasets, estimates, jobs, models, recipes, settings
from tunix_rt.engine import devices, families, low_rank, packing, placement, trainer, weights
from tunix_rt.engine.prompts import Prompts
from tunix_rt.launchers import environment
from tunix_rt.models import shapes

CASES = ("tunix", "peft", "ours")
WANTED_LOSS, SMOOTHED = 0.5, 8
ROW_TOKENS, ROWS = 256, 8
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12}
"""bfloat16 products a second without sparsity, by the makers' data sheets."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dataset", default="dev-reasoning-v2")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--curve", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--dtype", choices=tuple(placement.DTYPES), default="float32")
    parser.add_argument("--shape", type=Path, metavar="CONFIG.json")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        sys.stdout.write("\n" + json.dumps(measure(asked)) + "\n")
        return
    found: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for number in range(asked.rounds):
        for case in CASES:
            sys.stderr.write(f"round {number + 1}: {case}\n")
            command = [sys.executable, __file__, "--case", case, *sys.argv[1:]]
            environ = environment.passed_on(os.environ) if case == "ours" else None
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environ)
            found[case].append(json.loads(done.stdout.splitlines()[-1]))
    report(found)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    middle = {case: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for case, rows in found.items()}
    print(f"{'':28}" + "".join(f"{case:>12}" for case in CASES) + f"{'vs tunix':>10}{'vs peft':>10}")
    for key in middle["ours"]:
        a, b, c = (middle[case].get(key, float("nan")) for case in CASES)
        print(f"{key:28}{a:12.3g}{b:12.3g}{c:12.3g}{c / a if a else float('nan'):10.2f}{c / b if b else float('nan'):10.2f}")


def measure(asked: argparse.Namespace) -> dict[str, float]:
    """Medians over the steps after the first: seconds, useful tokens per second, padding share; and peak memory."""
    devices.use(asked.device, None)
    config = asked_config(asked)
    count = max(asked.steps, asked.curve) + 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = models.prepare(settings.load(), "smollm2-135m-instruct").folder
        if asked.shape:
            folder = shaped(folder, asked.shape, Path(temporary))
        prompts = Prompts(folder, config.instruction)
        examples = [prompts.example(trace) for trace in datasets.generate(datasets.recipe(asked.dataset))]
        started, processor = time.monotonic(), time.process_time()
        if asked.case == "peft":
            rows, memory = by_peft(asked, folder, config, examples, count)
        else:
            model = adapted(asked, folder, config)
            drawn = batches(examples, config, asked.scale, count)
            rows = padded(model, config, drawn) if asked.case == "tunix" else packed(model, config, examples, count)
            memory = devices.peak_device_memory() or devices.peak_memory()
        shape = shapes.of_folder(folder)
    kept = rows[1 : asked.steps + 1]
    speed = statistics.median(row["useful"] / row["seconds"] for row in kept)
    computed = statistics.median((row["useful"] - row.get("shared", 0)) / row["seconds"] for row in kept)
    model_flops = computed * flops(shape, config, examples)
    found = {
        "seconds a step": statistics.median(row["seconds"] for row in kept),
        "useful tokens/s": speed,
        "useful tokens/processor s": sum(row["useful"] for row in rows) / (time.process_time() - processor),
        "padding share": statistics.median(row["padding"] for row in kept),
        "seconds, first step": rows[0]["seconds"],
        "seconds in all": time.monotonic() - started,
        "peak memory, GB": memory / 1e9,
        "model TFLOP/s": model_flops / 1e12,
    }
    peak = next((peak for name, peak in PEAKS.items() if name in devices.name()), None)
    if peak:
        found["model FLOP utilisation, %"] = 100 * model_flops / peak
    return {**found, **(reached(rows) if asked.curve else {})}


def asked_config(asked: argparse.Namespace) -> Any:
    config = jobs.read_config(recipes.path("train", "sft_demo"))
    batch = config.batch.model_copy(update={"rows": config.batch.rows * asked.scale})
    compute = config.compute.model_copy(update={"dtype": asked.dtype})
    return config.model_copy(update={"batch": batch, "compute": compute})


def shaped(tokenizer: Path, config: Path, folder: Path) -> Path:
    """A model folder without weights: that config, and the tokenizer of another model."""
    shutil.copyfile(config, folder / "config.json")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / file, folder / file)
    return folder


def adapted(asked: argparse.Namespace, folder: Path, config: Any) -> Any:
    """The model with its adapters, frozen weights in the asked type; weights are drawn where the folder has none."""
    if asked.shape:
        shape = shapes.of_folder(folder)
        build = getattr(families.module(shape.family), families.PARTS[shape.family].model)
        made = build(families.configure(shape), rngs=nnx.Rngs(params=0))
    else:
        made = weights.load(folder)
    model = weights.add_lora(made, config.tuning, config.seed)
    placement.arrange(model, config.compute, frozen_base=True)
    if asked.case == "tunix":
        low_rank.unbind()
    if asked.case == "tunix" and placement.DTYPES[asked.dtype] is not None:  # its examples train adapters in the model's type
        for _, variable in nnx.to_flat_state(nnx.state(model, nnx.LoRAParam)):
            variable.set_value(variable[...].astype(placement.DTYPES[asked.dtype]))
    return model


def flops(shape: Any, config: Any, examples: list[Any]) -> float:
    """Of the model, for one useful token: the matrices of `estimates.cost`, attention over the token's own trace."""
    length = sum(len(example.tokens) for example in examples) / len(examples)
    share = 1 - sum(example.prefix for example in examples) / sum(len(example.tokens) for example in examples)
    matrices = 2 * shape.layer_parameters + 2 * shape.layers * shape.heads * shape.head_dim * length
    adapters = 2 * estimates.trained_tensors(shape, config)
    return 2 * (matrices + 2 * shape.vocab * shape.embed * share) + 3 * adapters


def reached(rows: list[dict[str, float]]) -> dict[str, float]:
    """Seconds of training, and useful tokens, until the smoothed loss is under the wanted one; NaN when it never was."""
    for end in range(SMOOTHED, len(rows) + 1):
        if statistics.mean(row["loss"] for row in rows[end - SMOOTHED : end]) < WANTED_LOSS:
            past = rows[:end]
            return {
                "seconds to the loss": sum(row["seconds"] for row in past),
                "tokens to it": sum(row["useful"] for row in past),
            }
    return {"seconds to the loss": float("nan"), "tokens to it": float("nan")}


def by_peft(
    asked: argparse.Namespace, folder: Path, config: Any, examples: list[Any], count: int
) -> tuple[list[dict[str, float]], float]:
    """The steps, and the peak memory in bytes."""
    import torch  # noqa: PLC0415  # each case in a process of its own
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    torch.manual_seed(config.seed)
    place, dtype = torch.device("cuda" if asked.device == "gpu" else "cpu"), getattr(torch, asked.dtype)
    if asked.shape:
        base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=dtype).to(place)
    else:
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(place)
    targets = [f"{target}_proj" for target in config.tuning.targets]
    model = get_peft_model(base, LoraConfig(r=config.tuning.rank, lora_alpha=config.tuning.alpha, target_modules=targets))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    settings_ = config.optimizer
    optimizer = torch.optim.AdamW(
        trained, lr=settings_.learning_rate, betas=(settings_.beta1, settings_.beta2), weight_decay=settings_.weight_decay
    )
    schedule = trainer.learning_rate(settings_, count)
    rows = []
    for number, batch in enumerate(batches(examples, config, asked.scale, count)):
        size_ = len(batch)
        width = max(len(example.tokens) for example in batch)
        tokens, labels = torch.zeros((size_, width), dtype=torch.long), torch.full((size_, width), -100)
        mask = torch.zeros((size_, width), dtype=torch.long)
        for row, example in enumerate(batch):
            size = len(example.tokens)
            tokens[row, :size], mask[row, :size] = torch.tensor(example.tokens), 1
            labels[row, example.prefix : size] = torch.tensor(example.tokens[example.prefix :])
        started = time.monotonic()
        tokens, labels, mask = tokens.to(place), labels.to(place), mask.to(place)
        for group in optimizer.param_groups:
            group["lr"] = float(schedule(number))
        loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings_.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        useful, value = sum(len(example.tokens) for example in batch), loss.item()
        if asked.device == "gpu":
            torch.cuda.synchronize()
        taken = time.monotonic() - started
        rows.append({"seconds": taken, "useful": useful, "padding": 1 - useful / (size_ * width), "loss": value})
    return rows, torch.cuda.max_memory_allocated() if asked.device == "gpu" else devices.peak_memory()


def batches(examples: list[Any], config: Any, scale: int, count: int) -> list[list[Any]]:
    """The same order for all, begun again when the examples are used up."""
    ordered, size = packing.order(examples, config.seed, 0), ROWS * scale
    return [[ordered[k % len(ordered)] for k in range(number * size, (number + 1) * size)] for number in range(count)]


def packed(model: Any, config: Any, examples: list[Any], count: int) -> list[dict[str, float]]:
    tokens = sum(len(example.tokens) for example in examples)
    passes = 1 + count * config.batch.step_rows * config.batch.row_tokens // tokens
    steps = packing.plan(examples, config.batch, config.seed, passes)[:count]
    with tempfile.TemporaryDirectory() as folder:
        run = trainer.make(model, config, len(steps), steps, Path(folder))
        run.train(micro for step in steps for micro in step.micro)
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    size = config.batch.step_rows * config.batch.row_tokens
    return [
        {
            "seconds": row["seconds"],
            "useful": row["tokens"],
            "shared": row["shared_tokens"],
            "padding": row["padding_tokens"] / size,
            "loss": row["loss"],
        }
        for row in lines
    ]


def padded(model: Any, config: Any, drawn: list[list[Any]]) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []

    class Timed(PeftTrainer):  # type: ignore[misc]
        def _prepare_inputs(self, input_data: Any) -> Any:
            self.started = time.monotonic()
            return input_data

        def _post_process_train_step(self, _aux: Any) -> None:
            loss = float(self._buffered_train_metrics.losses[-1])
            batch = drawn[len(rows)]
            useful = sum(len(example.tokens) for example in batch)
            padding = 1 - useful / (len(batch) * ROW_TOKENS)
            rows.append({"seconds": time.monotonic() - self.started, "useful": useful, "padding": padding, "loss": loss})

    def inputs() -> Iterable[Any]:
        for batch in drawn:
            tokens = np.zeros((len(batch), ROW_TOKENS), np.int32)
            mask = np.zeros((len(batch), ROW_TOKENS), np.bool_)
            for row, example in enumerate(batch):
                tokens[row, : len(example.tokens)] = example.tokens
                mask[row, example.prefix : len(example.tokens)] = True
            yield TrainingInput(input_tokens=tokens, input_mask=mask)

    def model_input(batch: Any) -> dict[str, Any]:
        pad = batch.input_tokens != 0
        return {
            "input_tokens": batch.input_tokens,
            "input_mask": batch.input_mask,
            "positions": utils.build_positions_from_mask(pad),
            "attention_mask": utils.make_causal_attn_mask(pad),
        }

    schedule = trainer.learning_rate(config.optimizer, len(drawn))
    run = Timed(model, trainer.optimizer(config.optimizer, schedule), TrainingConfig(eval_every_n_steps=10**9))
    run.with_gen_model_input_fn(model_input).train(inputs())
    return rows


if __name__ == "__main__":
    main()
