import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from submitted import Made

from tunix_rt import errors, submission, values

READ = """
import json, sys
from mlflow import MlflowClient

client = MlflowClient(tracking_uri="file:" + sys.argv[1])
experiment = client.search_experiments(filter_string="name LIKE '%train-small'")[0]
run = client.search_runs([experiment.experiment_id])[0]
history = client.get_metric_history(run.info.run_id, "loss")
print(json.dumps({
    "experiment": experiment.name, "status": run.info.status, "seconds": (run.info.end_time - run.info.start_time) / 1000,
    "loss": [[point.step, point.value, point.timestamp] for point in history], "metrics": run.data.metrics,
    "params": run.data.params, "tags": run.data.tags, "uri": run.info.artifact_uri,
    "artifacts": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
}))
"""


def test_every_step_and_number_is_in_the_store(made: Made, tmp_path: Path) -> None:
    found = submission.track(made.settings, made.run, tmp_path / "store")
    assert found.evaluated
    lines = (found.folder / "metrics" / "loss").read_text().splitlines()
    rows = [row for _, row in values.read_jsonl(made.folders.run / "metrics.jsonl")]
    assert [(int(line.split()[2]), float(line.split()[1])) for line in lines] == [(row["step"], row["loss"]) for row in rows]
    assert float((found.folder / "metrics" / "compare.difference").read_text().split()[1]) == made.folders.compared().difference
    assert (found.folder / "params" / "tuning.rank").read_text() == "16"
    assert (found.folder / "tags" / "tunix_rt.adapter_digest").read_text() == made.run.adapter_digest
    written = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not any(str(tmp_path).encode() in data or str(made.settings.home).encode() in data for data in written)


def test_the_same_run_gives_the_same_store(made: Made, own: Made, tmp_path: Path) -> None:
    for name, workspace in (("a", made), ("b", own)):
        submission.track(workspace.settings, workspace.run, tmp_path / name)
    first, second = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "a", tmp_path / "b")
    )
    assert first == second


def test_a_run_is_added_once_and_others_beside_it(own: Made, tmp_path: Path) -> None:
    first = submission.track(own.settings, own.run, tmp_path / "store")
    with pytest.raises(errors.Conflict, match="already"):
        submission.track(own.settings, own.run, tmp_path / "store")
    other = own.run.model_copy(update={"run_id": "20250102-000000-abcdef"})
    second = submission.track(own.settings, other, tmp_path / "store")
    assert second.experiment_id == first.experiment_id
    assert second.run_id != first.run_id
    assert not second.evaluated
    assert not list((tmp_path / "store").glob(".new-*"))


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
def test_mlflow_reads_it(made: Made, tmp_path: Path) -> None:
    submission.track(made.settings, made.run, tmp_path / "store")
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"}
    command = [sys.executable, "-c", READ, str(tmp_path / "store")]
    done = subprocess.run(command, cwd=tmp_path / "store", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read["status"] == "FINISHED"
    assert read["seconds"] == made.run.seconds
    assert [step for step, _, _ in read["loss"]] == [1, 2, 3, 4, 5]
    assert read["params"]["dataset"] == "train-small"
    assert read["artifacts"] == ["config.json", "environment.json", "metrics.jsonl", "run.json"]
