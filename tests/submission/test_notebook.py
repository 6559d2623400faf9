import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from submitted import Smoked, subject

from tunix_rt import datasets, evidence, jobs, recipes, submission, values
from tunix_rt.jobs import Drawn
from tunix_rt.settings import Settings
from tunix_rt.submission import Data, Subject


def cells(asked: Subject) -> list[str]:
    document = json.loads(submission.notebook(asked))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def code(workspace: Settings) -> list[str]:
    return cells(subject(workspace))


def test_the_notebook_is_valid_and_the_same_again(workspace: Settings) -> None:
    written = submission.notebook(subject(workspace))
    assert written == submission.notebook(subject(workspace))
    nbformat.validate(nbformat.reads(written.decode(), as_version=4))
    assert b"<<" not in written


def test_a_smoke_run_leaves_verified_evidence(smoked: Smoked) -> None:
    bundle = next(smoked.output.glob("*.zip"))
    report = evidence.verify(bundle, 1)
    assert (report.ok, report.depth_reached) == (True, 1)
    assert "verified to depth 1" in smoked.said
    assert smoked.run.reason == "smoke"
    assert not (smoked.settings.home / "models").exists()


def test_its_output_holds_no_bars(smoked: Smoked) -> None:
    assert "\x1b" not in smoked.said
    assert "$ tunix-rt train --dataset tiny-sums" in smoked.said


def test_the_notebook_in_the_repository_is_the_generated_one(workspace: Settings, root: Path) -> None:
    names = ("dev-reasoning-v2", "dev-reasoning-v2-eval")
    for name in names:
        datasets.build(datasets.recipe(name), workspace.datasets / name)
    data = [Data.of(datasets.manifest(workspace, name)) for name in names]
    config = jobs.read_config(recipes.path("train", "sft_demo"))
    written = submission.notebook(Subject(config=config, trainset=data[0], evalset=data[1]))
    assert (root / "notebooks" / "kaggle.ipynb").read_bytes() == written, "it is behind: run make docs"


def test_a_text_with_quotes_and_backslashes_comes_through(workspace: Settings, tmp_path: Path) -> None:
    plain = subject(workspace)
    config = plain.config.model_copy(update={"instruction": 'say """\\n""" twice\n\\'})
    told: dict[str, Any] = {"HOME": Path("/nowhere")}
    filled = cells(plain.model_copy(update={"config": config}))[1]
    exec(filled.partition("HOME.mkdir")[0], told)
    (tmp_path / "train.toml").write_text(told["FILES"]["train.toml"])
    assert jobs.read_config(tmp_path / "train.toml") == config


def test_without_wheels_or_the_package_it_says_what_to_attach(code: list[str], tmp_path: Path) -> None:
    script = tmp_path / "cell.py"
    script.write_text(_settings(code, tmp_path) + code[2])
    done = subprocess.run([sys.executable, "-I", "-S", script], capture_output=True, text=True, check=False)
    assert "attach the dataset with the wheels" in done.stderr
    assert done.returncode == 1


def _settings(code: list[str], place: Path) -> str:
    paths = f"INPUT, OUTPUT, HOME = Path({str(place)!r}), Path({str(place)!r}), Path({str(place / 'home')!r})\n"
    return f"{code[0]}\n{paths}"


def test_attached_wheels_get_an_environment_of_their_own(code: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "tunix_rt-9-py3-none-any.whl", "w") as wheel:
        about = "tunix_rt-9.dist-info"
        wheel.writestr("tunix_rt/__init__.py", "")
        wheel.writestr("tunix_rt/cli/__init__.py", "")
        wheel.writestr("tunix_rt/cli/__main__.py", 'print(\'{"from": "the wheel"}\')')
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tunix-rt\nVersion: 9\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    script = tmp_path / "cell.py"
    script.write_text(_settings(code, tmp_path) + code[2] + "\nprint(tunix('data', 'recipes'))\n")
    environment = {"TMPDIR": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "{'from': 'the wheel'}" in done.stdout


def test_an_earlier_session_is_gone_on_with_and_never_overwritten(code: list[str], tmp_path: Path) -> None:
    earlier, home = tmp_path / "input" / "old" / "tunix-rt", tmp_path / "home"
    values.write_bytes(earlier / "tunix-rt.db", b"old")
    values.write_bytes(earlier / "runs" / "a" / "run.json", b"{}")
    told: dict[str, Any] = {"INPUT": tmp_path / "input", "HOME": home}
    exec(f"import shutil\n{code[3]}", told)
    assert (home / "runs" / "a" / "run.json").read_bytes() == b"{}"
    values.write_bytes(home / "tunix-rt.db", b"new")
    exec(f"import shutil\n{code[3]}", told)
    assert (home / "tunix-rt.db").read_bytes() == b"new"


def test_other_data_than_it_was_written_for_is_refused(code: list[str]) -> None:
    check = _function(code[4], "check", {"EXPECTED": {"tiny-sums": "a" * 64}})
    check("tiny-sums", "a" * 64)
    with pytest.raises(RuntimeError, match="was written for"):
        check("tiny-sums", "b" * 64)


def test_a_session_whose_time_is_up_says_how_to_go_on(code: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    class Refused(Exception):
        pass

    def tunix(*words: str) -> Any:
        if words[0] == "runs":
            return {"data": []}
        raise Refused({"message": "its time was up", "details": {"reason": reason}})

    known = {"tunix": tunix, "Refused": Refused, "plan": {"evaluation_hours": 0.1}, "HOURS": 1.0, "MARGIN_MINUTES": 1.0}
    known |= {"STARTED": 0.0, "DATASET": "a", "TRAINED": [], "ON": [], "MODE": "full"}
    reason = "timeout"
    exec(f"import time\n{code[6]}", known)
    assert known["RUN"] is None
    assert "attach its output" in capsys.readouterr().out
    reason = "out_of_memory"
    with pytest.raises(Refused):
        exec(f"import time\n{code[6]}", known)


def _function(source: str, name: str, known: dict[str, Any]) -> Callable[..., Any]:
    """One function of a cell, without running the cell."""
    part = source[source.index(f"def {name}(") :]
    exec(part.partition("\n\n\n")[0], known)
    function: Callable[..., Any] = known[name]
    return function


def test_a_notebook_for_an_accelerator_insists_on_it(workspace: Settings) -> None:
    asked = subject(workspace).model_copy(update={"device": "gpu"})
    assert 'os.environ.get("TUNIX_RT_DEVICE", "gpu")' in cells(asked)[0]


def test_answers_are_drawn_as_they_were(workspace: Settings) -> None:
    asked = subject(workspace)
    assert "DRAWN = [] if" in cells(asked)[0]
    drawn = asked.model_copy(update={"drawn": Drawn(temperature=0.5, samples=4, seed=7)})
    assert 'DRAWN = ["--temperature", "0.5", "--seed", "7", "--samples", "4"] if' in cells(drawn)[0]
