"""The claims table: every operation evaluated on a true and a false example, and every malformed claim explained."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunix_rt import claims, errors
from tunix_rt.claims import Claim, evaluate, holds

TRUE = {
    "add": ((2, "3/2"), "7/2"),
    "sub": ((2, 5), -3),
    "mul": (("1/2", 6), 3),
    "div": ((9, 6), "3/2"),
    "sum": (((1, "1/2", "1/2"),), 2),
    "quotient": ((17, 5), 3),
    "remainder": ((17, 5), 2),
    "mean": (((1, 2),), "3/2"),
    "percent_of": ((15, 80), 12),
    "percent_share": ((12, 80), 15),
    "convert": ((90, "minute", "hour"), "3/2"),
    "solve": ((3, 5, 20), 5),
    "compare": ((56, "!=", 54), True),
    "largest": (((3, "7/2"),), "7/2"),
    "smallest": (((3, -4),), -4),
    "count": ((("a", "b", "a"),), 3),
    "count_words": (("two  words",), 2),
    "count_letter": (("banana", "a"), 3),
    "length": (("lemon",), 5),
    "spell": (("cat",), ("c", "a", "t")),
    "reverse": (("lemon",), "nomel"),
    "reverse_list": (((1, 2, 3),), (3, 2, 1)),
    "join": ((("a", "b"), "-"), "a-b"),
    "repeat": (("ha", 3, " "), "ha ha ha"),
    "upper": (("straße",), "STRASSE"),
    "lower": (("ABC",), "abc"),
    "sort": ((("pear", "Apple", "kiwi"),), ("Apple", "kiwi", "pear")),
    "member": (("red", ("blue", "green")), False),
    "common": ((("a", "b", "c"), ("c", "a")), ("a", "c")),
    "modus_ponens": (("a dax", "a wug", "a wug"), "unknown"),
}


def claim(op: str, args: tuple[object, ...], result: object) -> Claim:
    return Claim.model_validate({"op": op, "args": args, "result": result})


def test_every_operation_has_an_example() -> None:
    assert set(TRUE) == set(claims.TABLE)


@pytest.mark.parametrize("op", TRUE)
def test_true_statement_holds(op: str) -> None:
    assert holds(claim(op, *TRUE[op]))


@pytest.mark.parametrize("op", TRUE)
def test_wrong_result_does_not_hold(op: str) -> None:
    wrong = {"number": 999, "integer": 999, "text": "?", "truth": not TRUE[op][1], "texts": ("?",), "items": ("?",)}
    assert not holds(claim(op, TRUE[op][0], wrong[claims.TABLE[op].result]))


@pytest.mark.parametrize("op", TRUE)
def test_statement_survives_json(op: str) -> None:
    made = claim(op, *TRUE[op])
    assert Claim.model_validate(json.loads(made.model_dump_json())) == made


@given(a=st.fractions(), b=st.fractions())
def test_sums_are_exact(a: Fraction, b: Fraction) -> None:
    operands = tuple(claims.jsonable(value) for value in (a, b))
    assert claims.number(evaluate(claim("add", operands, 0))) == a + b


@pytest.mark.parametrize(
    ("op", "args", "result", "message"),
    [
        ("ad", (1, 2), 3, "unknown claim operation 'ad'. Did you mean 'add'?"),
        ("add", (1,), 3, "claim 'add' takes 2 arguments (number, number), got 1."),
        ("add", (1, "2.5"), 3, "claim 'add': argument 2 is '2.5': expected a number"),
        ("add", (1, True), 2, "claim 'add': argument 2 is True: expected a number"),
        ("add", (1, "4/2"), 3, "claim 'add': argument 2 is '4/2': not in lowest terms."),
        ("add", (1, "1/0"), 1, "claim 'add': argument 2 is '1/0': expected a number"),
        ("add", (1, 2), "three", "claim 'add': the result is 'three': expected a number"),
        ("compare", (1, "<", 2), 1, "claim 'compare': the result is 1: expected true or false."),
        ("compare", (1, "~", 2), True, "unknown relation '~'"),
        ("div", (1, 0), 0, "has no result: division by zero."),
        ("convert", (1, "hour", "metre"), 1, "unknown unit 'metre' Did you mean 'meter'?"),
        ("convert", (1, "hour", "meter"), 1, "hour measures time and meter measures length"),
        ("sum", ((),), 0, "expected a list with at least one entry"),
        ("sort", ((1, "a"),), ("a",), "expected integers only or texts only"),
        ("reverse", (12,), "21", "claim 'reverse': argument 1 is 12: expected text."),
        ("repeat", ("x", 10**9, ""), "x", "at most 20000 characters"),
        ("quotient", (-7, 2), -4, "needs a dividend of 0 or more"),
    ],
)
def test_malformed_claim_is_explained(op: str, args: tuple[object, ...], result: object, message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        holds(claim(op, args, result))
    assert message in caught.value.message
    assert caught.value.details["op"] == op


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="valid integer"):
        claim("add", (1.5, 2), 3)


def test_huge_numbers_are_refused_quickly() -> None:
    with pytest.raises(errors.Invalid, match="more than 200 digits"):
        holds(claim("mul", (10**300, 2), 1))


def test_truth_is_not_one() -> None:
    assert evaluate(claim("compare", (1, "=", 1), True)) is True
    assert evaluate(claim("sub", (2, 1), 1)) == 1
