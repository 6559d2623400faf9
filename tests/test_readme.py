"""The README's commands work as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tunix_rt.settings import Settings

COMMAND = Path(sys.executable).parent / "tunix-rt"
README = (Path(__file__).parents[1] / "README.md").read_text()
LINES = [shlex.split(line, comments=True) for line in re.findall(r"^tunix-rt .*$", README, re.MULTILINE)]
# what these stand for is run by tests/test_demo.py and tests/test_cli_data.py
REAL_MODEL = ("FILE", "RUN", "masks", "dev-reasoning-v2-eval", "run.zip", "BASE_EVALUATION", "sweep_demo", "--study")


def is_quick(line: list[str]) -> bool:
    return not any(word in line for word in REAL_MODEL) and ("train" not in line or "--smoke-steps" in line)


def run(arguments: list[str], workspace: Settings, folder: Path, root: Path) -> subprocess.CompletedProcess[str]:
    (folder / "recipes").exists() or (folder / "recipes").symlink_to(root / "recipes")
    environment = {**os.environ, "TUNIX_RT_HOME": str(workspace.home)}
    return subprocess.run([COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("line", [line for line in LINES if is_quick(line)], ids=" ".join)
def test_a_quick_command_runs(line: list[str], workspace: Settings, root: Path, tmp_path: Path) -> None:
    if "--check" in line or line[1] == "check":
        assert run(["data", "build", "dev-reasoning-v2"], workspace, tmp_path, root).returncode == 0
    done = run(line[1:], workspace, tmp_path, root)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in LINES if not is_quick(line)], ids=" ".join)
def test_a_long_command_and_its_options_exist(line: list[str], workspace: Settings, root: Path, tmp_path: Path) -> None:
    words = [word for word in line[1:] if word.islower() and "." not in word and not word.startswith("-")]
    for depth in (2, 1):
        helped = run([*words[:depth], "--help"], workspace, tmp_path, root)
        if helped.returncode == 0:
            break
    assert helped.returncode == 0, helped.stderr
    assert all(option in helped.stdout for option in line if option.startswith("--"))


def test_the_readme_shows_both_ways_to_run() -> None:
    assert "make demo" in README
    assert "make test" in README
    assert len(LINES) >= 10
