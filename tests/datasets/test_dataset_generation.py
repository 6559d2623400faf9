"""Generation: exact sections, distinct prompts, and a partition that no seed can cross."""

import unicodedata
from collections import Counter
from functools import cache

import pytest

from tunix_rt import datasets, errors, tasks
from tunix_rt.datasets import generation
from tunix_rt.tasks import Draft
from tunix_rt.tasks.rng import Rng
from tunix_rt.traces import Trace
from tunix_rt.values import merkle_root


@cache
def made(name: str, seed: int = 42) -> tuple[Trace, ...]:
    return tuple(datasets.generate(datasets.recipe(name).model_copy(update={"seed": seed})))


def prompts(name: str, seed: int = 42) -> set[str]:
    return {datasets.canonical_prompt(trace.prompt) for trace in made(name, seed)}


def test_reference_set_has_its_sections() -> None:
    sections = Counter(trace.meta["section"] for trace in made("dev-reasoning-v2"))
    assert sections == {"reasoning": 385, "synthetic": 110, "golden": 35, "edge": 20}


def test_evaluation_set_is_large_and_varied() -> None:
    sections = Counter(trace.meta["section"] for trace in made("dev-reasoning-v2-eval"))
    assert sections == {"reasoning": 168, "synthetic": 48, "golden": 15, "edge": 9}
    assert len({trace.meta["group"] for trace in made("dev-reasoning-v2-eval")}) >= 50
    asked, made_of = (datasets.recipe(name).tasks for name in ("dev-reasoning-v2-eval", "dev-reasoning-v2"))
    assert set(asked) == set(made_of) == {trace.meta["task"] for trace in made("dev-reasoning-v2-eval")}


@pytest.mark.parametrize("name", ["dev-reasoning-v2", "dev-reasoning-v2-eval", "tiny-sums", "tiny-sums-eval"])
def test_prompts_are_distinct(name: str) -> None:
    assert len(prompts(name)) == len(made(name))


@pytest.mark.parametrize("name", ["dev-reasoning-v2", "dev-reasoning-v2-eval"])
def test_every_claim_is_true_and_shown(name: str) -> None:
    assert [problem for trace in made(name) for problem in tasks.problems(trace)] == []
    assert all(any(step.claims for step in trace.steps) for trace in made(name))


@pytest.mark.parametrize("seed", [42, 7, 1_000_003])
def test_no_seed_leaks_into_the_evaluation_set(seed: int) -> None:
    assert prompts("dev-reasoning-v2", seed).isdisjoint(prompts("dev-reasoning-v2-eval"))
    assert prompts("tiny-sums", seed).isdisjoint(prompts("tiny-sums-eval"))


def test_without_the_partition_seeds_do_leak() -> None:
    """The negative control: unpartitioned streams of two seeds meet."""
    streams = [{tasks.item(tasks.get("decompose"), 1, seed, k).prompt for k in range(200)} for seed in (1, 2)]
    assert streams[0] & streams[1]


def test_side_sees_through_case_and_blanks() -> None:
    assert datasets.side("What is  3 * 4?\n") == datasets.side("WHAT IS 3 * 4?")


def test_sides_are_about_one_in_eight() -> None:
    evals = sum(datasets.side(f"question {i}") == "eval" for i in range(4_000))
    assert 430 < evals < 570


def test_meta_makes_the_item_again() -> None:
    for trace in made("dev-reasoning-v2")[:40]:
        meta = trace.meta
        seed, k = map(int, meta["key"].split("/"))
        assert tasks.item(tasks.get(meta["task"]), meta["level"], seed, k, meta.get("transform")) == trace


def test_explain_finds_an_item_by_its_id() -> None:
    wanted = made("tiny-sums")[5]
    assert datasets.explain(datasets.recipe("tiny-sums"), wanted.id[:16]) == wanted


@pytest.mark.parametrize(("start", "error"), [("zzzz", errors.NotFound), ("", errors.Invalid)])
def test_explain_wants_one_id(start: str, error: type[errors.Mistake]) -> None:
    with pytest.raises(error):
        datasets.explain(datasets.recipe("tiny-sums"), start)


def test_tasks_alternate() -> None:
    first = [trace.meta["task"] for trace in made("dev-reasoning-v2")[:60]]
    assert len(set(first)) > 9


def test_a_false_generator_cannot_make_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = tasks.get("arithmetic")

    def false(rng: Rng, level: int) -> Draft:
        draft = honest.make(rng, level)
        return draft._replace(answer=f"{draft.answer}0")

    monkeypatch.setitem(tasks.CATALOGUE, "arithmetic", honest._replace(make=false))
    with pytest.raises(errors.Failed, match=r"task 'arithmetic' level 1, item 42/.*: the last step does not state the answer"):
        datasets.generate(datasets.recipe("tiny-sums"))


def test_blocks_do_not_change_what_is_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [trace.id for trace in made("dev-reasoning-v2")]
    monkeypatch.setattr(generation, "_BLOCK", 1)
    assert [trace.id for trace in datasets.generate(datasets.recipe("dev-reasoning-v2"))] == whole
    assert merkle_root(whole) == "a858070e87d1e944a30f85853ca2735cfe35960539452f73bfd5de4f590bbbc8"


@pytest.mark.parametrize("prompt", ["What is  3 * 4?\n", "\x1cA\x0bb\x1f", "", " Tab\t"])
def test_ascii_prompts_take_no_other_way(prompt: str) -> None:
    assert datasets.canonical_prompt(prompt) == " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
