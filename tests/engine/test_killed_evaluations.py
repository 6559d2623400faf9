"""An evaluation that is killed goes on where it was: no finished item is lost or answered again, and the report is the same.

Row J10 of docs/reliability.md. An item is finished when its line is whole.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import counted
from tunix_rt import evals, jobs, values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import generator
from tunix_rt.jobs import GenerateJob, Inputs
from tunix_rt.launchers import processes
from tunix_rt.launchers.handles import Handle
from tunix_rt.launchers.local import Local
from tunix_rt.models import BaseModel
from tunix_rt.settings import Settings

ITEMS = 30


@pytest.fixture
def prepared(workspace: Settings, tiny: BaseModel, unseen_sums: Dataset, tmp_path: Path) -> Callable[[str], Handle]:
    """An evaluation of the tiny model, answered one item at a time, in a folder of that name."""
    job = GenerateJob(
        model="tiny",
        model_digest=tiny.digest,
        evalset=unseen_sums.manifest.name,
        evalset_digest=unseen_sums.manifest.digest,
        limit=ITEMS,
        max_new_tokens=8,
        batch_size=1,
        device="cpu",
    )
    inputs = Inputs(model=tiny.folder, dataset=unseen_sums.path.parent, compile_cache=workspace.compile_cache)

    def made(name: str) -> Handle:
        jobs.write(tmp_path / name, job, inputs)
        return Handle(run_id=name, attempt=1, folder=tmp_path / name)

    return made


def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def answers(handle: Handle) -> bytes:
    path = handle.folder / generator.FILE
    return path.read_bytes() if path.exists() else b""


def finished(handle: Handle) -> bytes:
    """The whole lines."""
    data = answers(handle)
    return data[: data.rfind(b"\n") + 1]


def report(handle: Handle) -> dict[str, Any]:
    """What the evaluation says, without how long it took."""
    until(lambda: Local().poll(handle) == "exited")
    assert Local().exit(handle).reason == "completed", (handle.folder / "log.txt").read_text()
    facts = {key: value for key, value in evals.score(handle.folder, None).items() if key != "seconds"}
    return facts | {name: values.sha256_file(handle.folder / name) for name in ("predictions.jsonl", "scores.jsonl")}


def killed_after(handle: Handle, items: int) -> bytes:
    """What is finished once the engine was killed when that many items were."""
    until(lambda: finished(handle).count(b"\n") >= items)
    assert processes.end(processes.mark(handle.run_id, handle.attempt, str(handle.folder)))
    until(lambda: Local().poll(handle) == "exited")
    return finished(handle)


def differences(handle: Handle, kills: list[int], whole: dict[str, Any]) -> dict[str, int]:
    """Finished items lost or answered again by kills after so many items, and whether the report is not the `whole` one."""
    lost = 0
    Local().launch(handle)
    for items in kills:
        kept = killed_after(handle, items)
        handle = handle.model_copy(update={"attempt": handle.attempt + 1})
        Local().launch(handle)
        until(lambda kept=kept, h=handle: len(finished(h)) > len(kept) or Local().poll(h) == "exited")
        lost += 0 if finished(handle).startswith(kept) else kept.count(b"\n")
    told = report(handle)
    seen = [row["item"] for _, row in values.read_jsonl(handle.folder / generator.FILE)]
    return {"lost": lost, "again": len(seen) - len(set(seen)), "reports_that_differ": int(told != whole)}


@pytest.mark.long
def test_killed_evaluations_at_length(prepared: Callable[[str], Handle]) -> None:
    """Thirty kills; the control is with the fast test of the same, in test_generation.py."""
    rng, whole = random.Random(10), prepared("whole")
    Local().launch(whole)
    told = report(whole)
    found = [differences(prepared(f"killed{n}"), sorted(rng.sample(range(1, ITEMS - 1), 5)), told) for n in range(6)]
    totals = {key: sum(each[key] for each in found) for key in found[0]}
    counted.record("killed-evaluations", "J10", kills=30, evaluations=6, items=ITEMS, **totals)
    assert totals == {"lost": 0, "again": 0, "reports_that_differ": 0}
