"""Greedy answers of SmolLM2-135M in float32: our decoder against Tunix's sampler and `transformers.generate`, at one batch.

    python benchmarks/generation.py [--items 120] [--batch 60] [--new 128]

All three get the same prompts, sorted by length, and the same limit. Each runs in a process of its own and answers everything
twice: the first time compiles, the second is measured, by the clock and by processor time. Tokens are those of the answers, so
a row that waits for its batch to end counts for nothing. The answers are compared: equal work is the condition.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tunix_rt import datasets, jobs, models, settings
from tunix_rt.engine import devices, weights
from tunix_rt.engine.decoding import Decoder, Request
from tunix_rt.engine.prompts import Prompts

CASES = ("tunix", "transformers", "ours")
WINDOW = 64
Answers = list[list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=120)
    parser.add_argument("--batch", type=int, default=60)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        sys.stdout.write("\n" + json.dumps(measure(arguments.case, arguments.items, arguments.batch, arguments.new)) + "\n")
        return
    found = {}
    for case in CASES:
        sys.stderr.write(f"{case}\n")
        command = [sys.executable, __file__, "--case", case, *sys.argv[1:]]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[case] = json.loads(done.stdout.splitlines()[-1])
    report(found)


def report(found: dict[str, dict[str, Any]]) -> None:
    print(f"{'':24}" + "".join(f"{case:>14}" for case in CASES) + f"{'vs tunix':>12}{'vs torch':>12}")
    for key in ("tokens", "tokens/s", "tokens/processor s", "seconds, first time", "peak memory, GB"):
        row = [found[case][key] for case in CASES]
        ratios = f"{row[2] / row[0]:12.2f}{row[2] / row[1]:12.2f}"
        print(f"{key:24}" + "".join(f"{value:14.4g}" for value in row) + ratios)
    for case in CASES[:2]:
        same = sum(a == b for a, b in zip(found[case]["answers"], found["ours"]["answers"], strict=True))
        print(f"answers equal to those of {case}: {same} of {len(found['ours']['answers'])}")


def measure(case: str, items: int, batch: int, new: int) -> dict[str, Any]:
    base = models.prepare(settings.load(), "smollm2-135m-instruct")
    prompts = Prompts(base.folder, jobs.INSTRUCTION)
    traces = jobs.spread(list(datasets.generate(datasets.recipe("dev-reasoning-v2-eval"))), items)
    given = sorted((prompts.encode(prompts.prefix(trace.prompt)) for trace in traces), key=len)
    answer = {"tunix": by_tunix, "transformers": by_transformers, "ours": by_ours}[case](base.folder, prompts, batch, new)
    clock = time.monotonic()
    answer(given)
    first = time.monotonic() - clock
    clock, processor = time.monotonic(), time.process_time()
    answers = answer(given)
    seconds, processor = time.monotonic() - clock, time.process_time() - processor
    tokens = sum(map(len, answers))
    return {
        "tokens": tokens,
        "tokens/s": tokens / seconds,
        "tokens/processor s": tokens / processor,
        "seconds, first time": first,
        "peak memory, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "answers": answers,
    }


def by_ours(folder: Any, prompts: Prompts, batch: int, new: int) -> Callable[[Answers], Answers]:
    devices.use("cpu", None)
    decoder = Decoder(weights.load(folder), prompts.stops)

    def answer(given: Answers) -> Answers:
        said: dict[int, list[int]] = {}
        requests = [Request(tuple(tokens), new) for tokens in given]
        decoder.answer(requests, batch, lambda index, done: said.__setitem__(index, done.tokens))
        return [said[index] for index in range(len(given))]

    return answer


def by_tunix(folder: Any, prompts: Prompts, batch: int, new: int) -> Callable[[Answers], Answers]:
    """Its sampler takes text and wants a tokenizer of this form; sizes are those its examples would choose."""
    from tunix.generate.sampler import CacheConfig, Sampler  # noqa: PLC0415  # each case in its own process

    devices.use("cpu", None)
    model: Any = weights.load(folder)
    shape = model.config

    class Tokenizer:
        def encode(self, text: str) -> list[int]:
            return prompts.encode(text)

        def decode(self, tokens: list[int]) -> str:
            return prompts.decode(tokens)

        def bos_id(self) -> None: ...

        def eos_id(self) -> int:
            return prompts.end_of_turn

        def pad_id(self) -> int:
            return 0

    samplers: dict[int, Sampler] = {}

    def answer(given: Answers) -> Answers:
        said: Answers = []
        for start in range(0, len(given), batch):
            part = given[start : start + batch]
            window = -(-len(part[-1]) // WINDOW) * WINDOW
            if window not in samplers:
                cache = CacheConfig(window + new, shape.num_layers, shape.num_kv_heads, shape.head_dim)
                samplers[window] = Sampler(model, Tokenizer(), cache)
            texts = [prompts.shown(tokens) for tokens in part]
            output = samplers[window](texts, max_generation_steps=new, max_prompt_length=window, eos_tokens=prompts.stops)
            said += [[int(token) for token in tokens] for tokens in output.tokens]
        return said

    return answer


def by_transformers(folder: Any, prompts: Prompts, batch: int, new: int) -> Callable[[Answers], Answers]:
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(given: Answers) -> Answers:
        said: Answers = []
        for start in range(0, len(given), batch):
            part = given[start : start + batch]
            width = len(part[-1])
            tokens = np.array([[0] * (width - len(row)) + row for row in part])
            mask = np.array([[0] * (width - len(row)) + [1] * len(row) for row in part])
            with torch.inference_mode():
                output = model.generate(
                    input_ids=torch.tensor(tokens),
                    attention_mask=torch.tensor(mask),
                    max_new_tokens=new,
                    do_sample=False,
                    eos_token_id=prompts.stops,
                    pad_token_id=0,
                )
            for row in output[:, width:].tolist():
                end = next((at for at, token in enumerate(row) if token in prompts.stops), len(row))
                said.append(row[:end])
        return said

    return answer


if __name__ == "__main__":
    main()
