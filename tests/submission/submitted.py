"""A workspace of made-up outputs with everything a submission needs, and what a run of the notebook leaves."""

import io
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

from made_up import RUN_ID, Folders, folders_in
from tunix_rt import datasets, runs, submission, values
from tunix_rt.jobs import Inputs, TrainConfig
from tunix_rt.runs import Trained
from tunix_rt.settings import Settings
from tunix_rt.submission import Data, Place, Subject

PLACE = Place("jane", "tunix-rt-small", "t4")


class Made(NamedTuple):
    settings: Settings
    folders: Folders

    @property
    def run(self) -> Trained:
        return runs.find(self.settings, RUN_ID)

    def pack(self, out: Path, **options: bool) -> dict[str, bytes]:
        """The members of a submission of the run."""
        submission.pack(self.settings, self.run, PLACE, out, **options)
        with zipfile.ZipFile(io.BytesIO(out.read_bytes())) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def made_in(home: Path) -> Made:
    folders = folders_in(home)
    for folder, data in ((folders.run, folders.trainset), (folders.base, folders.evalset), (folders.tuned, folders.evalset)):
        values.write_json(folder / "inputs.json", Inputs(model=home / "models" / "tiny", dataset=data).model_dump(mode="json"))
    values.write_jsonl(
        folders.run / "events.jsonl", [{"kind": "phase", "at": 1.0, "name": "loading"}, {"kind": "done", "at": 2.0}]
    )
    (folders.run / "log.txt").write_text(f"loaded {home / 'models' / 'tiny'}\n")
    return Made(Settings(home=home), folders)


class Smoked(NamedTuple):
    """What a run of the notebook in smoke mode left, and what it printed."""

    settings: Settings
    output: Path
    said: str

    @property
    def plan(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.settings.home / "plan.json").read_text())
        return found

    @property
    def run(self) -> Trained:
        return runs.find(self.settings, next(self.settings.runs.iterdir()).name)


def subject(workspace: Settings) -> Subject:
    """The notebook's full mode would train the tiny model, too."""
    names = ("tiny-sums", "tiny-sums-eval")
    for name in names:
        datasets.build(datasets.recipe(name), workspace.datasets / name)
    data = [Data.of(datasets.manifest(workspace, name)) for name in names]
    return Subject(config=TrainConfig(name="small", model="tiny"), trainset=data[0], evalset=data[1])
