"""The sweep that ships for the tiny model, with the real engine: 12 trials, 2 workers, everything killed twice on the way."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import counted
from tunix_rt import runs, store, sweeps
from tunix_rt import settings as settings_of
from tunix_rt.settings import Settings
from tunix_rt.sweeps import Standing

WHOLE_TREE = ("worker", "shim", "engine")
MOMENTS = ((2, ("worker",)), (6, WHOLE_TREE))  # after so many trials have ended, these are killed with the command itself


def begin(home: Path) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "tunix_rt.cli", "sweep", "start", "sweep_tiny", "--workers", "2", "--home", str(home)]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(process: subprocess.Popen[bytes], kinds: tuple[str, ...]) -> int:
    """SIGKILL to the command and to those below it that are of these kinds; returns how many."""
    below = psutil.Process(process.pid).children(recursive=True)
    doomed = [one for one in below if any(f"{kind}" in " ".join(one.cmdline()) for kind in kinds)]
    for one in (process, *doomed):
        one.kill()
    process.wait()
    return 1 + len(doomed)


def standing(settings: Settings) -> Standing | None:
    if not (settings.home / "tunix-rt.db").exists():
        return None
    opened = store.open_store(settings)
    with opened.reading() as connection:
        found = sweeps.listed(connection).data
    opened.close()
    return found[0] if found else None


@pytest.mark.long
def test_twelve_trials_survive_two_kills_and_the_best_is_confirmed(tmp_path: Path) -> None:
    settings = settings_of.load(tmp_path / "home", {})
    began, killed = time.monotonic(), []
    process = begin(settings.home)
    try:
        while process.poll() is None and time.monotonic() - began < 7_200:
            time.sleep(1)
            found = standing(settings)
            ended = sum(trial.state != "running" for trial in found.trials) if found else 0
            if len(killed) < len(MOMENTS) and ended >= MOMENTS[len(killed)][0]:
                killed.append(kill(process, MOMENTS[len(killed)][1]))
                process = begin(settings.home)
    finally:
        kill(process, WHOLE_TREE) if process.poll() is None else None
    assert process.returncode == 0
    assert len(killed) == 2
    found = standing(settings)
    assert found is not None
    assert found.state == "completed"
    assert [trial.number for trial in found.trials] == list(range(12))
    assert set(found.counts) <= {"completed", "pruned"}
    best, default, made = found.best, found.default, found.confirmed
    assert best is not None and best.value is not None
    assert default is not None and default.value is not None
    assert best.value > default.value
    assert made is not None
    assert made.looks == 1
    assert made.ci95_clustered[0] <= made.value <= made.ci95_clustered[1]
    opened = store.open_store(settings)
    with opened.reading() as connection:
        everything = runs.listed(connection, limit=1000).data
    opened.close()
    kinds = [run.kind for run in everything]
    completed = found.counts["completed"]
    assert (kinds.count("train"), kinds.count("eval")) == (12, completed + 1)
    counted.record(
        "sweep-kills",
        "sweep",
        trials=found.counts,
        killed_processes=killed,
        attempts=sum(run.attempt for run in everything if run.kind == "train"),
        default=default.value,
        best={"trial": best.number, "value": best.value, **best.params},
        confirmed=made.model_dump(mode="json"),
        importance=dict(sweeps.ranked(found)),
        seconds=round(time.monotonic() - began),
    )
