"""What other packages bring: the example package, installed and used through the command line, and packages that are wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from made_up import Folders, folders_in
from test_cli import COMMAND

Place = tuple[Path, Path]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The folder that the example package is installed into."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    source = tmp_path_factory.mktemp("source") / "example"
    subprocess.run(["cp", "-r", root / "examples" / "tunix-rt-example", source], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True)
    return target


def tunix_rt(*arguments: object, site: Path, home: Path, code: int = 0) -> Any:
    """The command's JSON, with the packages in `site` installed."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [COMMAND, *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TUNIX_RT_HOME": str(home), "PYTHONPATH": path},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    return found["error"] if code else found


def package(site: Path, name: str, group: str, points: str, code: str = "") -> Path:
    """A distribution of one module, as an installer would leave it."""
    about = site / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
    (site / f"{name}.py").write_text(code)
    return site


def test_a_dataset_names_the_plug_in_that_made_it(installed: Path, root: Path, tmp_path: Path) -> None:
    file = root / "examples" / "tunix-rt-example" / "dozens.toml"
    made = tunix_rt("data", "build", file, site=installed, home=tmp_path)
    manifest = json.loads((Path(made["dir"]) / "manifest.json").read_text())
    assert manifest["generators"] == {"dozens": 1, "arithmetic": 1}
    assert manifest["plugins"] == {"tunix-rt-example": "0.1.0"}
    assert "package tunix-rt-example 0.1.0" in (Path(made["dir"]) / "README.md").read_text()
    assert tunix_rt("data", "build", file, "--check", site=installed, home=tmp_path)["identical"]
    judged = tunix_rt("check", "dozens", site=installed, home=tmp_path)["summary"]
    assert (judged["traces"], judged["wrong_traces"], judged["step_accuracy"]) == (48, 0, 1.0)
    refused = tunix_rt("data", "build", file, "--out", tmp_path / "other", site=tmp_path / "empty", home=tmp_path, code=1)
    assert "no task 'dozens'" in refused["message"]
    assert tunix_rt("data", "stats", "dozens", site=tmp_path / "empty", home=tmp_path)  # what is made can still be read


def test_a_score_names_the_plug_in_that_gave_it(installed: Path, tmp_path: Path) -> None:
    folders: Folders = folders_in(tmp_path)
    made = tunix_rt("rescore", folders.tuned, "--scorer", "digits", site=installed, home=tmp_path)
    assert (made["scorer"], made["plugin"]) == ("digits", "tunix-rt-example 0.1.0")
    assert made["n"] > 0 and made["refused"] == 0
    assert tunix_rt("rescore", folders.tuned, "--scorer", "exact", site=installed, home=tmp_path)["plugin"] is None
    refused = tunix_rt("rescore", folders.tuned, "--scorer", "digits", site=tmp_path / "empty", home=tmp_path, code=1)
    assert "no scorer 'digits'" in refused["message"]


def test_an_import_format_is_used_where_it_is_named(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "cards.jsonl").write_text('{"front": "2 + 2?", "back": "4"}\n{"front": "3 + 3?", "back": "6"}\n')
    ingest = ("data", "ingest", tmp_path / "cards.jsonl")
    made = tunix_rt(*ingest, "--format", "flashcards", site=installed, home=tmp_path)
    manifest = json.loads((Path(made["dir"]) / "manifest.json").read_text())
    assert (manifest["source"]["format"], manifest["source"]["reasoning_absent"]) == ("flashcards", 2)
    assert manifest["plugins"] == {"tunix-rt-example": "0.1.0"}
    refused = tunix_rt(*ingest, "--name", "guessed", site=installed, home=tmp_path, code=1)
    assert "unknown_format" in json.dumps(refused)


def asked(site: Path, *names: str) -> list[str]:
    """What asking for each task gives, in a process that has the packages in `site`: nothing, or the error's words."""
    code = (
        "import sys\nfrom tunix_rt import errors, tasks\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        tasks.get(name)\n        print()\n"
        "    except errors.Mistake as mistake:\n        print(mistake.message)\n"
    )
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    return done.stdout.split("\n")[:-1]


def test_a_broken_plug_in_is_an_error_that_names_its_package(tmp_path: Path) -> None:
    points = "a = raising:TASK\nb = broken:TASK\nc = broken:WORD\nd = nowhere:TASK\ne = broken:SPEED"
    code = "from tunix_rt import tasks\nWORD = 'x'\nSPEED = tasks.get('speed')\n"
    site = package(tmp_path, "broken", "tunix_rt.tasks", points, code)
    (site / "raising.py").write_text("1 / 0")
    said = (
        "ZeroDivisionError: division by zero",
        "has no attribute 'TASK'",
        "it is 'str', not a tunix_rt.tasks.Task",
        "No module named 'nowhere'",
        "its task calls itself 'speed'",
    )
    *found, unharmed = asked(site, *"abcde", "shopping")
    for words, message in zip(said, found, strict=True):
        assert words in message and "of broken 1.0 cannot be used" in message
    assert unharmed == ""  # what is not asked for is not imported


def test_the_name_of_a_built_in_task_or_of_another_package_is_refused(tmp_path: Path) -> None:
    taker = package(tmp_path / "one", "taker", "tunix_rt.tasks", "speed = taker:TASK")
    found = tunix_rt("data", "build", "tiny-sums", site=taker, home=tmp_path, code=1)
    assert "taker 1.0 brings 'speed'" in found["message"]
    site = package(tmp_path / "two", "first", "tunix_rt.tasks", "own = first:TASK")
    package(site, "second", "tunix_rt.tasks", "own = second:TASK")
    assert "first 1.0 and by second 1.0; uninstall one" in asked(site, "own")[0]
