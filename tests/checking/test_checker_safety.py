"""Hostile text costs little: nothing is executed, nothing grows, nothing is searched twice."""

import resource
import sys
import time
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tunix_rt import checking
from tunix_rt.checking import Mode, equations
from tunix_rt.checking.injecting import KINDS, inject
from tunix_rt.checking.tokens import numbers, tokens
from tunix_rt.claims import TABLE, Claim
from tunix_rt.traces import Step, Trace

SECONDS = 3.0
FULL = 20_000  # characters of a step at most


def verdict(text: str, prompt: str = "2 3 9") -> str:
    steps = (Step(i=1, type="compute", content=text), Step(i=2, type="compute", content="2 + 3 = 6"))
    check = checking.check(Trace(prompt=prompt, steps=steps, final_answer="5"))
    assert check.steps[1].verdict == "wrong"  # other steps are unaffected
    return check.steps[0].verdict


BOMBS = {
    "tower": "9**9**9 = 1",
    "tower of hats": "9^9^9^9 = 1",
    "big power": f"{'9' * 39}^64 = 1",
    "squares": "((((9^64)^64)^64)^64) = 1",
    "long product": " * ".join(["9" * 39] * 400) + " = 1",
    "digits": "9" * FULL + " = 1",
    "decimals": "0." + "9" * FULL,
    "denominators": " + ".join(f"1/{n}" for n in range(3, 1800)) + " = 1",
    "open": "(" * FULL + " = 1",
    "nested": "(" * (FULL // 2) + ")" * (FULL // 2) + " = 1",
    "minuses": "-" * FULL + "1 = 1",
    "signs": "=" * FULL,
    "chain": "1=" * (FULL // 2),
    "sums": "1+" * (FULL // 2) + "1 = 2",
    "sums again": ("1+" * 60 + "( = ") * (FULL // 130),
    "opens again": ("(1+" * 50 + " = ") * (FULL // 160),
    "commas": "1," + "111," * (FULL // 4) + "1",
    "grouped": "1" + ",111" * (FULL // 4 - 2),
    "words": "a " * (FULL // 2) + "= 1",
    "hyphens": "a-" * (FULL // 2),
    "blanks": "x" + " " * (FULL - 2) + "x",
    "letters": "letters of " + "a" * FULL,
    "pairs": ", ".join(f"{n} a" for n in range(1, 2500)),
    "almost": ", ".join(f"{n} a" for n in range(1, 2500)) + "!",
    "repeat": "map 9999 times: " + "map " * (FULL // 4 - 5),
    "list": "sorted: " + ", ".join(["b", "a"] * 3000),
    "sets": "which are in " + "a, " * 3000 + "a: " + "a yes, " * 1500 + "a yes",
    "code": "__import__('os').system('true') = 0",
    "annotations": "<<" * (FULL // 2),
    "lines": "- " * (FULL // 2),
    "dozens": "9 dozen " * (FULL // 8) + "= 1",
    "endless": "0.9.." * (FULL // 5),
    "parts": "1 ½ " * (FULL // 4),
    "letters of algebra": "2s + " * (FULL // 5) + "16 = 2s",
    "fractions in fractions": "\\frac{1}{" * (FULL // 9),
    "years": "1 year is 12 months, " * (FULL // 21),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_harmless(name: str) -> None:
    began, before = time.process_time(), peak()
    verdict(BOMBS[name][:FULL])
    assert time.process_time() - began < SECONDS
    assert peak() - before < 100_000_000


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("text", ["9" * 1_000_000, "1 + " * 250_000 + "1 = 2", "(" * 1_000_000])
def test_a_text_longer_than_any_step_is_not_read(text: str) -> None:
    assert tokens(text) == []
    assert list(equations.find(tokens(text), {})) == []


def test_a_long_prompt_costs_little() -> None:
    began = time.process_time()
    verdict("2 + 3 = 5", prompt="1 + 1 = 2 " * 5_000)
    verdict("2 + 3 = 5", prompt="every dax is a wug. " * 2_500)
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("unit", ["1 + ", "(1 + ", "a = ", "1 = ", "smallest of 1, ", "is equal to ", "1 x ", "\\frac{1}"])
def test_time_grows_in_proportion(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * size)[:FULL]
        rounds = []
        for _ in range(5):
            began = time.process_time()
            verdict(text)
            rounds.append(time.process_time() - began)
        return min(rounds)  # what the work takes when nothing else has the processor

    small = FULL // 8 // len(unit)
    seconds(small)
    assert seconds(small * 8) < 30 * seconds(small) + 0.05


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300), st.text(min_size=1, max_size=300))
def test_the_parser_never_raises(prompt: str, text: str) -> None:
    list(equations.find(tokens(text), {}))
    numbers(prompt)


ALPHABET = st.sampled_from(
    [
        *"0123456789.,+-*/^=<>()%$€x:;' \n",
        " = ",
        "\\frac{",
        "}",
        "**",
        " of ",
        "half",
        " is equal to ",
        "²",
        "≈",
        " 1/2",
        "_",
        "and ",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(ALPHABET, min_size=1, max_size=60).map("".join))
def test_arithmetic_soup_never_raises(text: str) -> None:
    if text.strip():
        verdict(text, prompt=text)


SECONDS_A_TRACE = 3.0


@pytest.mark.parametrize("unit", ["2 * 3 = 6 and ", "1/7 = 0.14, ", "2s + 3t = ", "if it is a dax it is a wug. "])
def test_a_thousand_steps_take_bounded_time_in_every_mode(unit: str) -> None:
    contents = [f"{unit * 2}{i} + {i} = {2 * i}" for i in range(1000)]
    steps = tuple(Step(i=i, type="compute", content=content) for i, content in enumerate(contents, 1))
    whole = Trace(prompt="2 3 9", steps=steps, final_answer="1998")
    began = time.process_time()
    check = checking.check(whole, reference=whole)
    assert time.process_time() - began < SECONDS_A_TRACE
    assert len(check.steps) == 1000


WORDS = [
    "the last number is 7", "letters of ", "l-e-m-o-n: l e m o n", "backwards: ", " reversed is ", " in capitals is ",
    "1 the, 2 old", "3 times: ", "first letters: ", "in order: ", "smallest of ", " is ", "Every dax is a wug",
    "so the answer is no", "if ", " remainder ", " then ", "therefore ", "area", "perimeter", "average", "½", "2½", "3.3...",
    " dozen ", "2s + 4t",
    "¾ x ", "\u2028", "\x85", "٣", "１２", "²³", "𝟙", "\u202e", "0", "-0", "1e9", "00.10", "'x'", "\\boxed{", "$", "years",
    "1 hour", "km/h",
]  # fmt: skip
TEXT = st.one_of(
    st.text(min_size=1, max_size=120),
    st.lists(st.one_of(st.sampled_from(WORDS), ALPHABET), min_size=1, max_size=25).map("".join),
)
CLAIMS = st.builds(
    Claim,
    op=st.sampled_from([*TABLE]),
    args=st.lists(st.one_of(st.integers(), st.text(max_size=8), st.booleans()), max_size=4).map(tuple),
    result=st.one_of(st.integers(), st.text(max_size=8), st.booleans()),
)


@st.composite
def any_trace(draw: st.DrawFn) -> Trace | None:
    """A trace that the format accepts, whatever it says; None when the text drawn is not acceptable."""
    contents = draw(st.lists(TEXT, min_size=1, max_size=5))
    carried = draw(st.lists(st.lists(CLAIMS, max_size=2).map(tuple), min_size=len(contents), max_size=len(contents)))
    try:
        steps = tuple(
            Step(i=i, type="compute", content=text, claims=claims)
            for i, (text, claims) in enumerate(zip(contents, carried, strict=True), 1)
        )
        return Trace(prompt=draw(TEXT), steps=steps, final_answer=draw(TEXT))
    except ValidationError:
        return None


@settings(max_examples=400, deadline=None)
@given(any_trace(), any_trace(), st.sampled_from(get_args(Mode)))
def test_no_valid_trace_makes_the_checker_raise(trace: Trace | None, other: Trace | None, mode: Mode) -> None:
    if trace is None or (other is None and mode == "anchored"):
        return
    check = checking.check(trace, mode=mode, reference=other)
    assert [step.i for step in check.steps] == [step.i for step in trace.steps]
    assert 0 <= check.coverage <= 1
    assert checking.check(trace, mode=mode, reference=other) == check
    for step, judged in zip(trace.steps, check.steps, strict=True):
        if judged.span is not None:
            assert 0 <= judged.span[0] <= judged.span[1] <= len(step.content)
    for kind in KINDS:
        inject(trace, 1, kind)
