"""The gate on real models: `tiny` before and after it learned forty answers, and after its adapter was damaged.

What it learned is what it is asked: whether a model generalises is not the question here, whether the gate sees the difference
is.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tunix_rt import comparisons, datasets, evals, jobs, models, settings, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import generator, training, weights
from tunix_rt.engine.prompts import Prompts
from tunix_rt.jobs import Batch, Checkpoints, Inputs, Lora, Optimizer, TrainConfig, TrainJob
from tunix_rt.models import BaseModel
from tunix_rt.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ANIMALS = ("cat", "dog", "cow", "pig", "fox")
INSTRUCTION = "?"
RUN_ID = "20250101-000000-abcdef"
Damage = Callable[[str, np.ndarray], np.ndarray]


class Lab(NamedTuple):
    settings: Settings
    model: BaseModel
    items: Dataset
    adapter: Path


def _items(home: Settings, folder: Path) -> Dataset:
    rows = [
        {
            "trace_version": "1.0",
            "prompt": f"Legs of {ANIMALS[number % 5]} {number}?",
            "steps": [{"i": 1, "type": "recall", "content": "four"}],
            "final_answer": "4",
            "meta": {"group": f"pair/{number // 2}"},
        }
        for number in range(40)
    ]
    values.write_jsonl(folder / "legs.jsonl", rows)
    datasets.ingest(folder / "legs.jsonl", home.datasets, name="legs")
    return datasets.find(home, "legs")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    home = settings.load(tmp_path_factory.mktemp("gating") / "home", {})
    model = models.prepare(home, "tiny")
    items = _items(home, home.home)
    config = TrainConfig(
        name="legs",
        model="tiny",
        epochs=10,
        steps=40,
        instruction=INSTRUCTION,
        tuning=Lora(rank=8, alpha=16),
        batch=Batch(row_tokens=256, rows=1, accumulation=1),
        optimizer=Optimizer(learning_rate=2e-2),
        checkpoints=Checkpoints(every_steps=1000),
    )
    names = {"model_digest": model.digest, "dataset": "legs", "dataset_digest": items.manifest.digest}
    job = TrainJob(run_id=RUN_ID, config=config, device="cpu", **names)
    folder = home.runs / RUN_ID
    inputs = Inputs(model=model.folder, dataset=items.path.parent)
    jobs.write(folder, job, inputs)
    training.train(job, inputs, folder)
    return Lab(home, model, items, folder / "adapter")


def evaluated(lab: Lab, adapter: Path | None, order: int = 0, **about: Any) -> str:
    """The id of a real evaluation, whose items were asked in the order that the seed draws."""
    about |= {"instruction": INSTRUCTION, "max_new_tokens": 24, "device": "cpu", "drawn": jobs.Drawn(seed=order)}
    spec = evals.question(lab.model, lab.items, **about)
    if adapter is not None:
        digest = values.sha256_file(adapter / "adapter.safetensors")
        spec = spec.model_copy(update={"run_id": RUN_ID, "adapter_digest": digest})
    folder = lab.settings.evals / spec.evaluation_id
    evals.prepare(lab.settings, spec, folder, adapter.parent if adapter else None)
    job = spec.job()
    model = weights.load(lab.model.folder)
    if adapter is not None:
        weights.merge_adapter(model, adapter, base=lab.model.digest, digest=str(job.adapter_digest))
    asked = jobs.spread(list(traces.read(lab.items.path)), job.limit)
    wanted = [(asked[at], 0) for at in np.random.default_rng(order).permutation(len(asked))]
    generator._answer(job, model, Prompts(lab.model.folder, job.instruction), wanted, folder / generator.FILE)
    rows = [row for _, row in values.read_jsonl(folder / generator.FILE)]
    assert [row["item"] for row in rows] != [item.id for item in asked]
    values.write_json(folder / "result.json", {"tokens": sum(row["tokens"] for row in rows), "seconds": 1.0})
    return str(evals.score(folder, "legs" if adapter else None)["evaluation_id"])


@pytest.fixture(scope="module")
def base(lab: Lab) -> str:
    return evaluated(lab, None)


@pytest.fixture(scope="module")
def tuned(lab: Lab) -> str:
    return evaluated(lab, lab.adapter)


def damaged(lab: Lab, folder: Path, damage: Damage) -> Path:
    """Another adapter with the right digests of the wrong numbers."""
    tensors = load_file(lab.adapter / "adapter.safetensors")
    path = folder / "adapter" / "adapter.safetensors"
    path.parent.mkdir(parents=True)
    save_file({name: damage(name, tensor) for name, tensor in tensors.items()}, path)
    about = values.read_json(lab.adapter / "adapter_config.json")
    values.write_json(path.parent / "adapter_config.json", {**about, "sha256": values.sha256_file(path)})
    return path.parent


def permuted(name: str, tensor: np.ndarray) -> np.ndarray:
    order = np.random.default_rng(0).permutation(len(tensor))
    return np.ascontiguousarray(tensor[order]) if name.endswith("_lora_b") else tensor


def scaled(_name: str, tensor: np.ndarray) -> np.ndarray:
    return -tensor * 0.5


def gate(lab: Lab, *arguments: object) -> int:
    command = [Path(sys.executable).parent / "tunix-rt", "gate", *map(str, arguments), "--home", lab.settings.home, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode


def compared(lab: Lab, one: str, other: str) -> comparisons.Comparison:
    return comparisons.compare(*(comparisons.load(lab.settings.evals / name) for name in (one, other)))


def test_what_was_learned_is_better_and_passes_with_exit_0(lab: Lab, base: str, tuned: str) -> None:
    made = compared(lab, base, tuned)
    assert (made.verdict, made.fixed, made.broken) == ("better", 40, 0)
    assert gate(lab, tuned, "--baseline", base) == 0


@pytest.mark.parametrize("damage", [permuted, scaled])
def test_a_damaged_adapter_is_worse_and_fails_with_exit_1(lab: Lab, tuned: str, damage: Damage, tmp_path: Path) -> None:
    candidate = evaluated(lab, damaged(lab, tmp_path, damage))
    assert compared(lab, tuned, candidate).verdict == "worse"
    assert gate(lab, candidate, "--baseline", tuned) == 1


def test_the_same_model_asked_in_another_order_is_equivalent(lab: Lab, tuned: str) -> None:
    made = compared(lab, tuned, evaluated(lab, lab.adapter, order=1))
    assert (made.verdict, made.difference, made.fixed, made.broken) == ("equivalent", 0.0, 0, 0)


def test_twenty_items_are_inconclusive_with_exit_3(lab: Lab) -> None:
    one, other = evaluated(lab, None, limit=20), evaluated(lab, lab.adapter, limit=20)
    assert compared(lab, one, other).verdict == "better"
    assert gate(lab, other, "--baseline", one) == 3
