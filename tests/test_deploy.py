"""The files of deploy/: their commands are commands, what they set is read, and stopping a worker leaves its runs alone."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from tunix_rt.cli import app
from tunix_rt.settings import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
COMMANDS = {
    **{path.name: re.findall(r"^ExecStart=\S+/tunix-rt (.+)$", path.read_text(), re.MULTILINE)[0].split() for path in UNITS},
    **{name: service["command"] for name, service in COMPOSE["services"].items() if "build" in service},
}


def filled(argument: str) -> str:
    return re.sub(r"%i", "8321", re.sub(r"\$\{\w+(?::-(\w+))?\}", lambda match: match[1] or "name", argument))


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_started_is_a_command_with_options_that_it_has(name: str) -> None:
    verb, *arguments = map(filled, COMMANDS[name])
    group: Any = typer.main.get_command(app)
    found = group.commands[verb]
    context = found.make_context(verb, arguments)
    assert not context.args


def test_every_variable_that_is_set_is_read() -> None:
    text = "".join(path.read_text() for path in (DEPLOY / "tunix-rt.env", DEPLOY / "compose.yaml", DEPLOY / "Dockerfile"))
    group: Any = typer.main.get_command(app)
    verbs = {arguments[0] for arguments in COMMANDS.values()}
    options = {f"TUNIX_RT_{verb}_{option.name}".upper() for verb in verbs for option in group.commands[verb].params}
    read = options | {f"TUNIX_RT_{name.upper()}" for name in Settings.model_fields} | {"TUNIX_RT_NAME"}
    assert set(re.findall(r"TUNIX_RT_[A-Z_]+", text)) <= read


def test_stopping_a_worker_leaves_its_runs_alone() -> None:
    (unit,) = (path for path in UNITS if "worker" in path.name)
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.read(unit)
    assert parsed["Service"]["KillMode"] == "process"
    workers = [service for service in COMPOSE["services"].values() if service.get("command", [""])[0] == "worker"]
    assert [service["stop_grace_period"] for service in workers] == ["90s", "90s"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_unit(path: Path, tmp_path: Path) -> None:
    (tmp_path / path.name).write_text(path.read_text().replace("/opt/tunix-rt/.venv/bin/tunix-rt", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / path.name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
