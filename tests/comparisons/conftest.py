"""A workspace with one evaluation set of 240 items, and evaluations of it that are right where a test wants them to be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_up import answered, dataset_in
from tunix_rt import evals, scoring, traces, values
from tunix_rt.datasets import Dataset
from tunix_rt.settings import Settings

Answering = Callable[..., str]


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_in(tmp_path_factory.mktemp("wide") / "datasets" / "eval-wide", "eval", 60)


@pytest.fixture
def place(wide: Dataset, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home")
    settings.datasets.mkdir(parents=True)
    (settings.datasets / "eval-wide").symlink_to(wide.path.parent)
    return settings


@pytest.fixture
def answering(place: Settings, wide: Dataset) -> Answering:
    """`answering(rate, seed)`: an evaluation right on that share of items, drawn by seed; returns its id."""

    def made(rate: float, seed: int, began: float | None = None, **about: Any) -> str:
        items = list(traces.read(wide.path))
        right = np.random.default_rng(seed).random(len(items)) < rate
        kept = about.get("limit") or len(items)
        said = [
            (scoring.render(["x"], item.final_answer) if ok else "1. x\nAnswer: no idea", "stop")
            for item, ok in zip(items[:kept], right[:kept], strict=True)
        ]
        # the seed makes another question of it, drawn in the same way
        folder = answered(place.evals / "new", wide, said, **{"max_new_tokens": 100, "seed": seed, **about})
        name: str = values.read_json(folder / "summary.json")["evaluation_id"]
        folder.rename(place.evals / name)
        if began is not None:
            values.write_jsonl(place.evals / name / "events.jsonl", [{"kind": "phase", "at": began}])
        assert evals.find(place, name)
        return name

    return made
