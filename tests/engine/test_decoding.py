"""Rows that join late, leave early, wrap around the ring or move to a smaller batch say what they say alone."""

from collections import Counter
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from tunix_rt import values
from tunix_rt.datasets import Dataset
from tunix_rt.engine import decoding, generator, weights
from tunix_rt.engine.decoding import Answer, Decoder, Request
from tunix_rt.engine.prompts import Prompts
from tunix_rt.engine.sampling import Sampling, pick, seed_of
from tunix_rt.jobs import INSTRUCTION, GenerateJob, Inputs
from tunix_rt.models import BaseModel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DRAWN = Sampling(temperature=0.9, top_k=40, top_p=0.95, seed=5)


@pytest.fixture(scope="module")
def model(tiny: BaseModel) -> Any:
    return weights.load(tiny.folder)


def requests(count: int, *, shared: int) -> list[Request]:
    """Prompts of many lengths and limits that begin with the same `shared` tokens, among them pad and end of turn."""
    rng = np.random.default_rng(4)
    start = [1, 2, 0, *rng.integers(3, 259, 61)][:shared]
    return [
        Request((*start, *map(int, rng.integers(3, 259, 3 + k % 9))), 4 + 7 * k % 23, seed_of(DRAWN, str(k), 0))
        for k in range(count)
    ]


def answers(decoder: Decoder, asked: list[Request], size: int) -> list[Answer]:
    said: dict[int, Answer] = {}
    decoder.answer(asked, size, said.__setitem__)
    return [said[k] for k in range(len(asked))]


def alone(model: Any, asked: list[Request], stops: list[int]) -> list[Answer]:
    """A plain argmax loop over the whole sequence."""
    found = []
    for prompt, limit, _ in asked:
        tokens, said, stopped = list(prompt), [], False
        while len(said) < limit and not stopped:
            length = 96  # one shape for all; what follows a token does not reach it
            given = np.zeros((1, length), np.int32)
            given[0, : len(tokens)] = tokens
            mask = jnp.tril(jnp.ones((1, length, length), jnp.bool_))
            best = int(np.argmax(FORWARD(model, jnp.asarray(given), jnp.arange(length)[None], mask)[0, len(tokens) - 1]))
            stopped = best in stops
            said += [] if stopped else [best]
            tokens.append(best)
        found.append(Answer(said, stopped))
    return found


FORWARD = decoding.nnx.jit(lambda model, tokens, positions, mask: model(tokens, positions, None, mask)[0])


@pytest.mark.parametrize("shared", [0, 40])
def test_whatever_shares_the_batch_an_answer_is_the_same(model: Any, shared: int) -> None:
    asked = requests(30, shared=shared)
    stops = [int(token) for token in range(3, 259, 13)]  # many, so that some answers end early
    expected = alone(model, asked, stops)
    assert 3 < sum(answer.stopped for answer in expected) < 27
    assert answers(Decoder(model, stops), asked, 24) == expected


def test_one_shape_gives_the_same_answers_from_fewer_programs(model: Any) -> None:
    asked = [request._replace(prompt=request.prompt * (1 + k % 5)) for k, request in enumerate(requests(30, shared=0))]
    stops = [int(token) for token in range(3, 259, 13)]
    one, many = (Decoder(model, stops, one_shape=chosen) for chosen in (True, False))
    assert answers(one, asked, 24) == answers(many, asked, 24)
    compiled = [sum(program._cache_size() for program in (made._join, made._run, made._shrink)) for made in (one, many)]
    assert compiled[0] == 2 < compiled[1]


def test_drawn_answers_depend_on_their_seed_and_on_nothing_else(model: Any) -> None:
    asked = requests(11, shared=20)
    decoder = Decoder(model, [2], DRAWN)
    found = answers(decoder, asked, 5)
    assert list(reversed(answers(decoder, list(reversed(asked)), 5))) == found
    again = [request._replace(seed=request.seed + 1) for request in asked]
    assert sum(a == b for a, b in zip(answers(decoder, again, 5), found, strict=True)) < 3


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    logits = jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))
    rows = 4000
    seeds, step = jnp.arange(rows, dtype=jnp.uint32), jnp.full(rows, 3, jnp.int32)

    def shares(sampling: Sampling) -> list[float]:
        found = Counter(np.asarray(pick(jnp.tile(logits, (rows, 1)), sampling, seeds, step)).tolist())
        return [found[token] / rows for token in range(4)]

    np.testing.assert_allclose(shares(Sampling(temperature=1.0)), [0.5, 0.3, 0.15, 0.05], atol=0.03)
    np.testing.assert_allclose(shares(Sampling(temperature=1.0, top_k=2)), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(Sampling(temperature=1.0, top_p=0.9)), [0.526, 0.316, 0.158, 0], atol=0.03)
    np.testing.assert_allclose(shares(Sampling(temperature=0.5)), [0.684, 0.247, 0.062, 0.007], atol=0.03)
    assert shares(Sampling()) == [1, 0, 0, 0]


@pytest.fixture(scope="module")
def job(tiny: BaseModel, unseen_sums: Dataset) -> GenerateJob:
    evalset = {"evalset": unseen_sums.manifest.name, "evalset_digest": unseen_sums.manifest.digest}
    return GenerateJob(
        model="tiny", model_digest=tiny.digest, **evalset, limit=3, max_new_tokens=12, batch_size=4, device="cpu"
    )


def generated(job: GenerateJob, tiny: BaseModel, unseen_sums: Dataset, folder: Path) -> list[dict[str, Any]]:
    generator.generate(job, Inputs(model=tiny.folder, dataset=unseen_sums.path.parent), folder)
    return [row for _, row in values.read_jsonl(folder / generator.FILE)]


def test_each_item_gets_as_many_samples_as_asked_and_only_missing_ones_are_made(
    job: GenerateJob, tiny: BaseModel, unseen_sums: Dataset, tmp_path: Path
) -> None:
    asked = job.model_copy(update={"samples": 3, "temperature": 1.0, "seed": 9})
    rows = generated(asked, tiny, unseen_sums, tmp_path)
    assert Counter(row["sample"] for row in rows) == {0: 3, 1: 3, 2: 3}
    assert len({row["output"] for row in rows}) > 6
    (tmp_path / generator.FILE).write_bytes(b"".join(values.jsonl_line(row) for row in rows[:4]))
    assert sorted(map(str, generated(asked, tiny, unseen_sums, tmp_path))) == sorted(map(str, rows))


def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(
    job: GenerateJob, tiny: BaseModel, unseen_sums: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "stopped").mkdir()
    plain = {row["item"]: row for row in generated(job, tiny, unseen_sums, tmp_path / "plain")}
    text = max((row["output"] for row in plain.values()), key=len)
    word = text[len(text) // 2 :][:2]
    stopped = generated(job.model_copy(update={"stop": (word,)}), tiny, unseen_sums, tmp_path / "stopped")
    assert sum(row["output"] != plain[row["item"]]["output"] for row in stopped) >= 1
    for row in stopped:
        before, found, _ = plain[row["item"]]["output"].partition(word)
        assert (row["output"], row["finish"]) == (before, "stop" if found else plain[row["item"]]["finish"])
        assert row["tokens"] <= plain[row["item"]]["tokens"]


def test_an_end_of_turn_inside_the_prompt_is_a_token_like_any_other(tiny: BaseModel, model: Any) -> None:
    """Padding is told from text by lengths alone: a chat prompt holds ends of turns, and some models pad with them."""
    prompts = Prompts(tiny.folder, INSTRUCTION)
    prompt = prompts.encode(prompts.prefix("1 + 1"))
    assert prompt.count(prompts.end_of_turn) == 2
    asked = [Request(tuple(prompt[-60:]), 6), Request(tuple(prompt[-20:]), 6)]
    assert answers(Decoder(model, prompts.stops), asked, 2) == alone(model, asked, prompts.stops)


def test_a_sampling_that_is_not_one_is_refused() -> None:
    for wrong in ({"temperature": -1.0}, {"top_p": 0.0}, {"top_k": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Sampling(**wrong)  # type: ignore[arg-type]
