"""Fine-tuning SmolLM2-135M with LoRA on dev-reasoning-v2: our step against Tunix's examples' and against PyTorch with PEFT.

    python benchmarks/training.py [--rounds 2] [--steps 6] [--curve 0]

All see the same traces in the same order, the same LoRA, optimizer and schedule, float32. `tunix` pads one trace a row to 256
tokens, 8 rows a step, with the default loss. `peft` is a plain PyTorch loop: 8 traces a step, padded to the longest of them.
`ours` is recipes/train/sft_demo.toml. Each case runs in a process of its own, in turn, and counts useful tokens only (tokens of
traces, no padding). The medians of the steps after the first are compared. With `--curve N`, `peft` and `ours` train on for N
steps and tell how many seconds of training it took until the mean loss of eight steps fell under 0.5.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tunix.sft import utils
from tunix.sft.peft_trainer import PeftTrainer, TrainingConfig, TrainingInput

from tunix_rt import datasets, jobs, models, recipes, settings
from tunix_rt.engine import devices, packing, trainer, weights
from tunix_rt.engine.prompts import Prompts

CASES = ("tunix", "peft", "ours")
WANTED_LOSS, SMOOTHED = 0.5, 8
ROW_TOKENS, ROWS = 256, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--curve", type=int, default=0)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        sys.stdout.write("\n" + json.dumps(measure(arguments.case, arguments.steps, arguments.curve)) + "\n")
        return
    found: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for number in range(arguments.rounds):
        for case in CASES:
            sys.stderr.write(f"round {number + 1}: {case}\n")
            done = subprocess.run(
                [sys.executable, __file__, "--case", case, *sys.argv[1:]], stdout=subprocess.PIPE, text=True, check=True
            )
            found[case].append(json.loads(done.stdout.splitlines()[-1]))
    report(found)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    middle = {case: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for case, rows in found.items()}
    print(f"{'':24}" + "".join(f"{case:>12}" for case in CASES) + f"{'vs tunix':>10}{'vs peft':>10}")
    for key in middle["ours"]:
        a, b, c = (middle[case].get(key, float("nan")) for case in CASES)
        print(f"{key:24}{a:12.3g}{b:12.3g}{c:12.3g}{c / a:10.2f}{c / b:10.2f}")


def measure(case: str, steps: int, curve: int) -> dict[str, float]:
    """Medians over the steps after the first: seconds, useful tokens per second, padding share; and peak memory."""
    home = settings.load()
    devices.use("cpu", None)
    base = models.prepare(home, "smollm2-135m-instruct")
    config = jobs.read_config(recipes.path("train", "sft_demo"))
    prompts = Prompts(base.folder, config.instruction)
    examples = [prompts.example(trace) for trace in datasets.generate(datasets.recipe("dev-reasoning-v2"))]
    assert isinstance(config.tuning, jobs.Lora)
    count = max(steps, curve if case != "tunix" else 0) + 1
    started, processor = time.monotonic(), time.process_time()
    if case == "peft":
        rows = by_peft(base.folder, config, examples, count)
    else:
        model = weights.add_lora(weights.load(base.folder), config.tuning, config.seed)
        rows = (padded if case == "tunix" else packed)(model, config, examples, count)
    kept = rows[1 : steps + 1]
    found = {
        "seconds a step": statistics.median(row["seconds"] for row in kept),
        "useful tokens/s": statistics.median(row["useful"] / row["seconds"] for row in kept),
        "useful tokens/processor s": sum(row["useful"] for row in rows) / (time.process_time() - processor),
        "padding share": statistics.median(row["padding"] for row in kept),
        "seconds, first step": rows[0]["seconds"],
        "seconds in all": time.monotonic() - started,
        "peak memory, GB": devices.peak_memory() / 1e9,
    }
    return {**found, **(reached(rows) if curve and case != "tunix" else {})}


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


def by_peft(folder: Path, config: Any, examples: list[Any], count: int) -> list[dict[str, float]]:
    import torch  # noqa: PLC0415  # each case in a process of its own
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    torch.manual_seed(config.seed)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    targets = [f"{target}_proj" for target in config.tuning.targets]
    model = get_peft_model(base, LoraConfig(r=config.tuning.rank, lora_alpha=config.tuning.alpha, target_modules=targets))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    settings_ = config.optimizer
    optimizer = torch.optim.AdamW(
        trained, lr=settings_.learning_rate, betas=(settings_.beta1, settings_.beta2), weight_decay=settings_.weight_decay
    )
    schedule = trainer.learning_rate(settings_, count)
    ordered = packing.order(examples, config.seed, 0)
    rows = []
    for number in range(count):
        batch = [ordered[k % len(ordered)] for k in range(number * ROWS, (number + 1) * ROWS)]
        width = max(len(example.tokens) for example in batch)
        tokens, labels = torch.zeros((ROWS, width), dtype=torch.long), torch.full((ROWS, width), -100)
        mask = torch.zeros((ROWS, width), dtype=torch.long)
        for row, example in enumerate(batch):
            size = len(example.tokens)
            tokens[row, :size], mask[row, :size] = torch.tensor(example.tokens), 1
            labels[row, example.prefix : size] = torch.tensor(example.tokens[example.prefix :])
        started = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = float(schedule(number))
        loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, settings_.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        useful = sum(len(example.tokens) for example in batch)
        taken = time.monotonic() - started
        rows.append({"seconds": taken, "useful": useful, "padding": 1 - useful / (ROWS * width), "loss": float(loss)})
    return rows


def packed(model: Any, config: Any, examples: list[Any], count: int) -> list[dict[str, float]]:
    steps = packing.plan(examples, config.batch, config.seed, 1 + count // 50)[:count]
    with tempfile.TemporaryDirectory() as folder:
        run = trainer.make(model, config, len(steps), steps, Path(folder))
        run.train(micro for step in steps for micro in step.micro)
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    size = config.batch.step_rows * config.batch.row_tokens
    return [
        {"seconds": row["seconds"], "useful": row["tokens"], "padding": row["padding_tokens"] / size, "loss": row["loss"]}
        for row in lines
    ]


def padded(model: Any, config: Any, examples: list[Any], count: int) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []
    ordered = packing.order(examples, config.seed, 0)
    batches = [ordered[k * ROWS : (k + 1) * ROWS] for k in range(count)]

    class Timed(PeftTrainer):  # type: ignore[misc]
        def _prepare_inputs(self, input_data: Any) -> Any:
            self.started = time.monotonic()
            return input_data

        def _post_process_train_step(self, _aux: Any) -> None:
            float(self._buffered_train_metrics.losses[-1])
            useful = sum(len(example.tokens) for example in batches[len(rows)])
            rows.append(
                {"seconds": time.monotonic() - self.started, "useful": useful, "padding": 1 - useful / (ROWS * ROW_TOKENS)}
            )

    def inputs() -> Iterable[Any]:
        for batch in batches:
            tokens = np.zeros((ROWS, ROW_TOKENS), np.int32)
            mask = np.zeros((ROWS, ROW_TOKENS), np.bool_)
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

    schedule = trainer.learning_rate(config.optimizer, len(batches))
    run = Timed(model, trainer.optimizer(config.optimizer, schedule), TrainingConfig(eval_every_n_steps=10**9))
    run.with_gen_model_input_fn(model_input).train(inputs())
    return rows


if __name__ == "__main__":
    main()
