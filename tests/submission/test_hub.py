import shutil
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard
from submitted import Made

from tunix_rt import datasets, errors, evidence, jobs, models, values
from tunix_rt.models import BaseModel
from tunix_rt.runs import exports
from tunix_rt.submission import hub


def laid_out(made: Made, tiny: BaseModel, out: Path, user: str | None) -> list[Path]:
    """As the command does it, with a file in the place of the weights that the engine writes."""
    facts = evidence.gather_run(made.settings, made.run).facts
    job = exports.job_of(made.run, "adapter")
    values.write_bytes(out.parent / "engine" / "adapter_model.safetensors", b"weights")
    exports.publish(made.run, job, tiny, out.parent / "engine", out / hub.MODEL, hub.quality(facts, user))
    hub.lay_out(facts, (made.folders.trainset, made.folders.evalset), out)
    return list(hub.layout(facts, out, user).folders)


def test_every_folder_has_a_card_the_hub_reads(made: Made, tiny: BaseModel, tmp_path: Path) -> None:
    model, *data = laid_out(made, tiny, tmp_path / "out", "jane")
    card = ModelCard.load(model / "README.md")
    summary = values.read_json(made.folders.tuned / "summary.json")
    assert card.data.datasets == ["jane/train-small"]
    assert [result.metric_value for result in card.data.eval_results] == [
        round(100 * summary["accuracy"], 2),
        round(100 * summary["lenient"]["accuracy"], 2),
    ]
    assert f"| tuned | strict | {summary['correct']} of {summary['n']} |" in card.text
    assert jobs.INSTRUCTION in card.text
    for folder in data:
        assert DatasetCard.load(folder / "README.md").data.pretty_name == folder.name
        assert datasets.open_dataset(folder).manifest.name == folder.name
    assert jobs.read_config(model / "train.toml").digest == made.run.config_digest


def test_without_an_owner_nothing_claims_one(made: Made, tiny: BaseModel, tmp_path: Path) -> None:
    model, *_ = laid_out(made, tiny, tmp_path / "out", None)
    assert ModelCard.load(model / "README.md").data.datasets is None
    facts = evidence.gather_run(made.settings, made.run).facts
    assert hub.layout(facts, tmp_path, None).uploads == ()
    assert "hf upload jane/train-small" in " ".join(hub.layout(facts, tmp_path, "jane").uploads)


def test_data_the_run_does_not_name_is_refused(own: Made, tmp_path: Path) -> None:
    facts = evidence.gather_run(own.settings, own.run).facts
    shutil.rmtree(own.folders.trainset)
    shutil.copytree(own.folders.evalset, own.folders.trainset)
    with pytest.raises(errors.Conflict, match="the run names"):
        hub.lay_out(facts, (own.folders.trainset, own.folders.evalset), tmp_path)


def test_an_export_alone_says_that_quality_is_not_known(made: Made, tiny: models.BaseModel) -> None:
    said = exports.card(made.run, exports.job_of(made.run, "adapter"), tiny)
    assert "see its evaluation" in said
    assert "the base model's chat template" in said
