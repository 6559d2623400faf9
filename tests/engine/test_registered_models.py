"""A registered version outlives its run; what is exported of it gives `transformers` the tuned model's own greedy tokens."""

import shutil
from pathlib import Path
from typing import Any

import jax
import pytest
from flax import nnx
from promoted import another, fill
from test_exports import LORA, loaded, ours, theirs

from test_cli_prove import document
from tunix_rt import models, values
from tunix_rt.cli.console import Surface
from tunix_rt.engine import weights
from tunix_rt.models import BaseModel
from tunix_rt.settings import Settings
from tunix_rt.workbench import registered

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch warns about its own versions


def tuned(base: BaseModel) -> Any:
    model = weights.add_lora(weights.load(base.folder), LORA, seed=1)
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.LoRAParam)):
        if str(path[-1]).endswith("_lora_b"):
            variable.set_value(0.3 * jax.random.normal(jax.random.key(len(str(path))), variable.shape))
    return model


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Any]:
    """A workspace whose version `sums@1` is the champion and whose runs are gone, and the model that was tuned."""
    settings = Settings(home=tmp_path_factory.mktemp("registered") / "home")
    fill(settings.home)
    base = models.prepare(settings, "tiny")
    model = tuned(base)
    run = another(settings.home, b"", "20250103-000000-abcdef")
    folder = Path(run.dir)
    digest = weights.save_adapter(model, LORA, base.digest, folder / "adapter")
    for name in ("run.json", "config.json"):
        row = values.read_json(folder / name) | {"model_digest": base.digest}
        values.write_json(folder / name, row | ({"adapter_digest": digest} if name == "run.json" else {}))
    document("models", "promote", run.run_id, "--as", "sums", "--force", "--reason", "a test", "--alias", "champion",
             home=settings.home)  # fmt: skip
    shutil.rmtree(settings.runs)
    return settings, model


def test_an_exported_version_gives_the_same_greedy_tokens(promoted: tuple[Settings, Any], tmp_path: Path) -> None:
    settings, model = promoted
    made = document("models", "export", "sums@champion", "--to", "merged", "--out", tmp_path / "out", home=settings.home)
    assert made["run_id"] == "20250103-000000-abcdef"
    expected = ours(model)
    assert theirs(loaded(tmp_path / "out")) == expected
    untuned = loaded(settings.models / "tiny")
    assert theirs(untuned) != expected  # negative control: the adapter is what makes the tokens


@pytest.mark.long  # another ten seconds of an engine that loads, merges and writes
def test_a_version_becomes_a_base_model_once(promoted: tuple[Settings, Any]) -> None:
    settings, model = promoted
    surface = Surface(settings.home, as_json=True)
    assert registered.as_base(surface, "tiny") == "tiny"
    assert [registered.as_base(surface, "sums@champion") for _ in range(2)] == ["sums-v1", "sums-v1"]
    base = models.open_folder(settings.models / "sums-v1")
    assert theirs(loaded(base.folder)) == ours(model)
    assert base.manifest.source.startswith("registered sums@1 ")
    assert base.manifest.licence == "apache-2.0"
