"""What is exported gives `transformers` and PEFT the very tokens that our own decoder gives."""

from pathlib import Path
from typing import Any

import instances
import jax
import numpy as np
import pytest
import transformers
from flax import nnx

from tunix_rt import errors, jobs, models, settings
from tunix_rt.engine import exports, weights
from tunix_rt.engine.decoding import Answer, Decoder, Request
from tunix_rt.jobs import Lora
from tunix_rt.models import BaseModel

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT and PyTorch warn about versions of each other
LORA = Lora(rank=3, alpha=7)
NEW = 12


@pytest.fixture(scope="module", params=("tiny", *instances.ONE_EACH))
def tuned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[BaseModel, Path, str, Any]:
    """(base, folder of an adapter that changes much, its digest, the tuned model)."""
    home = settings.load(tmp_path_factory.mktemp("home"), {})
    if request.param == "tiny":
        base = models.prepare(home, "tiny")
    else:
        folder = tmp_path_factory.mktemp(request.param)
        instances.made(request.param, folder)
        base = models.fetch(home, str(folder), name=request.param)
    model = weights.add_lora(weights.load(base.folder), LORA, seed=1)
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.LoRAParam)):
        if str(path[-1]).endswith("_lora_b"):
            variable.set_value(0.3 * jax.random.normal(jax.random.key(len(str(path))), variable.shape))
    kept = tmp_path_factory.mktemp("adapter")
    return base, kept, weights.save_adapter(model, LORA, base.digest, kept), model


def prompts() -> list[list[int]]:
    rng = np.random.default_rng(3)
    return [list(map(int, rng.integers(3, 259, length))) for length in (7, 19)]


def ours(model: Any) -> list[list[int]]:
    said: dict[int, Answer] = {}
    Decoder(model, [2]).answer([Request(tuple(prompt), NEW) for prompt in prompts()], 2, said.__setitem__)
    return [said[k].tokens for k in range(2)]


def loaded(folder: Path, **options: Any) -> Any:
    """The model of an exported folder, as `transformers` has it."""
    instances.parity("torch")
    return transformers.AutoModelForCausalLM.from_pretrained(folder, **options)


def theirs(model: Any) -> list[list[int]]:
    torch = instances.parity("torch")
    said = []
    for prompt in prompts():
        given = torch.tensor([prompt])
        output = model.generate(
            input_ids=given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=NEW,
            do_sample=False,
            eos_token_id=2,
            pad_token_id=0,
        )
        said.append([token for token in output[0, len(prompt) :].tolist() if token != 2])
    return said


def test_merged_weights_and_adapter_give_the_same_greedy_tokens(
    tuned: tuple[BaseModel, Path, str, Any], tmp_path: Path
) -> None:
    base, kept, digest, model = tuned
    expected = ours(model)
    torch, peft = instances.parity("torch"), instances.parity("peft")
    untuned = loaded(base.folder, dtype=torch.float32)
    assert theirs(untuned) != expected  # negative control: the adapter is what makes the tokens
    (tmp_path / "merged").mkdir()
    exports.merged(base, kept, digest, tmp_path / "merged")
    assert theirs(loaded(tmp_path / "merged")) == expected
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template
    (tmp_path / "peft").mkdir()
    exports.adapter(base, kept, digest, tmp_path / "peft")
    assert theirs(peft.PeftModel.from_pretrained(untuned, tmp_path / "peft")) == expected


def test_another_adapter_than_the_one_named_is_refused(tuned: tuple[BaseModel, Path, str, Any], tmp_path: Path) -> None:
    base, kept, _, _ = tuned
    with pytest.raises(errors.Tampered):
        exports.adapter(base, kept, "0" * 64, tmp_path)


def test_full_fine_tuning_has_no_adapter_to_export(tiny: BaseModel, tmp_path: Path) -> None:
    model = weights.load(tiny.folder)
    digest = weights.save_adapter(model, jobs.Full(), tiny.digest, tmp_path)
    with pytest.raises(errors.Invalid, match="--to merged"):
        exports.adapter(tiny, tmp_path, digest, tmp_path)
