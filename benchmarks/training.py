"""Fine-tuning SmolLM2-135M with LoRA on dev-reasoning-v2: our step against Tunix's trainer as its examples use it.

    python benchmarks/training.py [--rounds 2]

Both see the same traces, the same LoRA and float32. `tunix` pads one trace a row to 256 tokens, 8 rows a step, with the
default loss. `ours` is recipes/train/sft_demo.toml. Each case runs in a process of its own, in turn, and counts useful tokens
only (tokens of traces, no padding). The medians of the steps after the first are compared.
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

CASES = ("tunix", "ours")
MEASURED_STEPS = 6
ROW_TOKENS, ROWS = 256, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        sys.stdout.write("\n" + json.dumps(measure(arguments.case)) + "\n")
        return
    found: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for number in range(arguments.rounds):
        for case in CASES:
            sys.stderr.write(f"round {number + 1}: {case}\n")
            done = subprocess.run([sys.executable, __file__, "--case", case], capture_output=True, text=True, check=True)
            found[case].append(json.loads(done.stdout.splitlines()[-1]))
    report(found)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    middle = {case: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for case, rows in found.items()}
    print(f"{'':24}{'tunix':>12}{'ours':>12}{'ratio':>9}")
    for key in middle["ours"]:
        a, b = middle["tunix"][key], middle["ours"][key]
        print(f"{key:24}{a:12.3g}{b:12.3g}{b / a:9.2f}")


def measure(case: str) -> dict[str, float]:
    """Medians over the steps after the first: seconds, useful tokens per second, padding share; and peak memory."""
    home = settings.load()
    devices.use("cpu", None)
    base = models.prepare(home, "smollm2-135m-instruct")
    config = jobs.read_config(recipes.path("train", "sft_demo"))
    prompts = Prompts(base.folder, config.instruction)
    examples = [prompts.example(trace) for trace in datasets.generate(datasets.recipe("dev-reasoning-v2"))]
    assert isinstance(config.tuning, jobs.Lora)
    model = weights.add_lora(weights.load(base.folder), config.tuning, config.seed)
    started = time.monotonic()
    rows = (padded if case == "tunix" else packed)(model, config, examples)
    seconds = [row["seconds"] for row in rows[1:]]
    useful = [row["useful"] for row in rows[1:]]
    return {
        "seconds a step": statistics.median(seconds),
        "useful tokens/s": statistics.median(u / s for u, s in zip(useful, seconds, strict=True)),
        "padding share": statistics.median(row["padding"] for row in rows[1:]),
        "seconds, first step": rows[0]["seconds"],
        "seconds in all": time.monotonic() - started,
        "peak memory, GB": devices.peak_memory() / 1e9,
    }


def packed(model: Any, config: Any, examples: list[Any]) -> list[dict[str, float]]:
    steps = packing.plan(examples, config.batch, config.seed, 1)[: MEASURED_STEPS + 1]
    with tempfile.TemporaryDirectory() as folder:
        run = trainer.make(model, config, len(steps), steps, Path(folder))
        run.train(micro for step in steps for micro in step.micro)
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    size = config.batch.step_rows * config.batch.row_tokens
    return [{"seconds": row["seconds"], "useful": row["tokens"], "padding": row["padding_tokens"] / size} for row in lines]


def padded(model: Any, config: Any, examples: list[Any]) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []
    ordered = packing.order(examples, config.seed, 0)
    batches = [ordered[k * ROWS : (k + 1) * ROWS] for k in range(MEASURED_STEPS + 1)]

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
