"""Injected mistakes are real, at the step that the label names, and made by (trace, seed, kind) alone."""

import os
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tunix_rt import checking, claims, tasks
from tunix_rt.checking import injecting, rewriting
from tunix_rt.checking.injecting import KINDS, Kind
from tunix_rt.checking.tokens import numbers
from tunix_rt.traces import Step, Trace

CELLS = [(task, level) for task in tasks.CATALOGUE.values() for level in tasks.LEVELS]
TRACES = st.builds(lambda cell, k: tasks.item(cell[0], cell[1], 11, k), st.sampled_from(CELLS), st.integers(0, 40))


def trace(*contents: str, prompt: str, answer: str) -> Trace:
    steps = tuple(Step(i=i, type="compute", content=content) for i, content in enumerate(contents, 1))
    return Trace(prompt=prompt, steps=steps, final_answer=answer)


SUM = trace("60 * 4 = 240 kilometers", "240 + 25 = 265 kilometers", prompt="60 kilometers, 4 hours, 25 more", answer="265")


@settings(max_examples=200, deadline=None)
@given(TRACES, st.integers(0, 5), st.sampled_from(KINDS))
def test_what_stands_before_the_label_is_untouched_and_the_labelled_step_is_not(made: Trace, seed: int, kind: Kind) -> None:
    found = injecting.inject(made, seed, kind)
    assume(found is not None)
    assert found is not None
    before, after = made.steps, found.trace.steps
    assert all(not step.claims for step in after)
    assert found.trace.prompt == made.prompt
    if found.label.step is None:
        assert found.trace.final_answer != made.final_answer
        assert [step.content for step in after] == [step.content for step in before]
        return
    at = found.label.step - 1
    if kind == "dropped step":
        assert len(after) == len(before) - 1
        return
    assert [step.content for step in after[:at]] == [step.content for step in before[:at]]
    assert after[at].content != before[at].content


@settings(max_examples=150, deadline=None)
@given(TRACES, st.integers(0, 5), st.sampled_from(["result", "operand", "operator", "copied digit"]))
def test_a_wrong_number_contradicts_the_claims(made: Trace, seed: int, kind: Kind) -> None:
    found = injecting.inject(made, seed, kind)
    assume(found is not None)
    assert found is not None
    assert found.label.step is not None
    step, text = made.steps[found.label.step - 1], found.trace.steps[found.label.step - 1].content
    truths = {Fraction(str(claims.evaluate(claim))) for claim in step.claims}
    assert truths
    assert numbers(text) != numbers(step.content)
    if kind != "result":
        assert [site.shown for site in rewriting.sites(text)] != [site.shown for site in rewriting.sites(step.content)]


@settings(max_examples=150, deadline=None)
@given(TRACES, st.integers(0, 5))
def test_a_wrong_result_is_found_where_it_is(made: Trace, seed: int) -> None:
    found = injecting.inject(made, seed, "result")
    assume(found is not None)
    assert found is not None
    assert checking.check(found.trace, mode="hybrid", reference=made).first_wrong == found.label.step


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_applies_somewhere_and_is_found_with_the_reference(kind: Kind) -> None:
    """Five of each at least; hybrid finds nine in ten, an untouched trace never."""
    made = [tasks.item(task, level, 5, k) for task, level in CELLS for k in range(3)]
    found = [(one, other) for one in made if (other := injecting.inject(one, 1, kind))]
    assert len(found) >= 5
    seen = [checking.check(other.trace, mode="hybrid", reference=one).wrong for one, other in found]
    assert sum(seen) >= 0.9 * len(seen)
    assert not any(checking.check(one, mode="hybrid", reference=one).wrong for one, _ in found)


def test_a_wrong_result_is_carried_on() -> None:
    found = injecting.inject(SUM, 3, "result")
    assert found is not None
    values = [numbers(step.content) for step in found.trace.steps]
    assert found.label.step in (1, 2)
    if found.label.step == 1:
        assert values[1][0] == values[0][-1] != 240
        assert values[1][-1] == values[0][-1] + 25
    assert numbers(found.trace.final_answer) == [values[1][-1]]


def test_a_dropped_step_leaves_its_value_unexplained() -> None:
    found = injecting.inject(SUM, 0, "dropped step")
    assert found is not None
    assert [step.content for step in found.trace.steps] == ["240 + 25 = 265 kilometers"]
    assert found.label.step == 1
    assert checking.check(found.trace, mode="free").steps[0].verdict == "ungrounded"


@pytest.mark.parametrize("kind", ["dropped step", "string", "sort", "logic", "unit slip", "operator"])
def test_a_kind_without_a_place_is_none(kind: Kind) -> None:
    plain = trace("Nothing to see.", prompt="Say something.", answer="something")
    assert injecting.inject(plain, 0, kind) is None


def test_a_step_is_shortened_to_its_ends() -> None:
    assert rewriting.shortened("Cost: $15 * 4 = $10 * 4 + $5 * 4 = $40 + $20 = $60.") == "Cost: $15 * 4 = $60."
    assert rewriting.shortened("no sum here") == "no sum here"


def test_only_trace_seed_and_kind_decide() -> None:
    code = (
        "from tunix_rt import tasks\nfrom tunix_rt.checking import injecting as i\n"
        "from tunix_rt.values import canonical, sha256\n"
        "made = [tasks.item(t, 2, 5, k) for t in tasks.CATALOGUE.values() for k in range(3)]\n"
        "found = [i.inject(m, 4, kind) for m in made for kind in i.KINDS]\n"
        "print(sha256(canonical([f and [f.trace.line(), f.label] for f in found])))\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
