"""`data plan`, `prove` and `verify` as a person runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tunix_rt import datasets
from tunix_rt.datasets import Dataset
from tunix_rt.settings import Settings

COMMAND = Path(sys.executable).parent / "tunix-rt"


def run(*arguments: object, home: Path, code: int = 0, err: bool = False) -> str:
    """What it said: its result, or with `err` its talk."""
    environment = {**os.environ, "TUNIX_RT_HOME": str(home)}
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if err else done.stdout


def document(*arguments: object, home: Path, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", home=home, code=code))


def test_a_plan_shows_its_parts(tmp_path: Path) -> None:
    made = document("data", "plan", "eval-v2", home=tmp_path)
    assert (made["count"], made["parts"]) == (100, {"core": 60, "trace-sensitive": 25, "edge": 15})
    assert {cell["part"] for cell in made["cells"]} == set(made["parts"])
    assert document("data", "plan", "eval-v1", home=tmp_path)["written"] == 25


def test_a_proof_is_written_and_verified_without_the_dataset(sums: Dataset, workspace: Settings, tmp_path: Path) -> None:
    leaf = datasets.generate(datasets.recipe("tiny-sums"))[0].id
    proof = tmp_path / "proof.json"
    made = document("data", "prove", "tiny-sums", leaf[:10], "--out", proof, home=workspace.home)
    assert (made["leaf"], made["root"], len(made["siblings"])) == (leaf, sums.manifest.merkle_root, 6)
    assert json.loads(proof.read_text()) == made
    alone = document("data", "verify", proof, "--root", made["root"], "--trace", sums.path, home=tmp_path)
    assert alone == {"ok": True, "leaf": leaf, "root": made["root"], "root_compared": True, "trace_compared": True}
    assert "compared with nothing" in run("data", "verify", proof, home=tmp_path)
    proof.write_text(json.dumps({**made, "index": 1}))
    refused = document("data", "verify", proof, "--dataset", "tiny-sums", home=workspace.home, code=1)
    assert refused["error"]["code"] == "tampered"
