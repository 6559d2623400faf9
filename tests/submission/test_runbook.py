"""The runbook's commands: each is one that exists with its options, and the quick ones work on what the notebook left."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from submitted import Smoked
from typer.main import get_command

from tunix_rt import evidence
from tunix_rt.cli import app

TEXT = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
LINES = [shlex.split(line, comments=True) for line in re.findall(r"^ *(tunix-rt .*)$", TEXT, re.MULTILINE)]
WORK = ("pack", "mlflow", "verify")  # run below; the others are long, and tests elsewhere or the notebook run them


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_command_exists_with_its_options(line: list[str]) -> None:
    found, words = get_command(app), line[1:]
    while hasattr(found, "commands"):
        found, words = found.commands[words[0]], words[1:]
    found.make_context("tunix-rt", words).close()


def test_the_quick_commands_work_in_the_order_they_stand(smoked: Smoked, tmp_path: Path) -> None:
    environment = {**os.environ, "TUNIX_RT_HOME": str(smoked.settings.home)}
    here = [line for line in LINES if not any("output/" in word for word in line)]  # that folder comes from Kaggle
    quick = [line for line in here if line[1] in ("submission", "evidence") and line[2] in WORK]
    assert {line[2] for line in quick} == set(WORK)
    for line in quick:
        words = [word.replace("RUN", smoked.run.run_id) for word in line[1:]]
        done = subprocess.run(
            [sys.executable, "-m", "tunix_rt.cli", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
    assert evidence.verify(tmp_path / f"{smoked.run.run_id}.zip", 0).ok
    assert (tmp_path / "submission.zip").stat().st_size < 100_000
