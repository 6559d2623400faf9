"""Buying things: price times count, two kinds of things, change from a note; whole dollars first, then cents."""

from fractions import Fraction

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Line, Task, names, phrase, step
from tunix_rt.tasks.handles import Quantity, calc, given, noun
from tunix_rt.tasks.lexicon import PEOPLE, SMALL_WARES, WARES, a
from tunix_rt.tasks.rng import Rng

CENT = noun("cent")
COST = {
    "cost-buys": "{who} buys {count:u}. Each {one} costs {price}. How much does {who} pay in total?",
    "cost-at": "What is the total cost of {count:u} at {price} each?",
    "cost-one": "One {one} costs {price}. How much do {count:u} cost?",
    "cost-shop": "A shop sells {many} for {price} each. How much does {who} pay there for {count:u}?",
}
BASKET = {
    "basket-and": "{who} buys {count:u} at {price} each and {others:u} at {fee} each. What is the total cost?",
    "basket-prices": "In a shop, {a_one} costs {price} and {a_other} costs {fee}. How much do {count:u} and "
    "{others:u} cost together?",
    "basket-list": "{who}'s shopping list: {count:u} at {price} each, {others:u} at {fee} each. How much is it all together?",
}
CHANGE = {
    "change-pays": "{who} buys {count:u} at {price} each and pays with {note}. How much change does {who} get?",
    "change-left": "{who} has {note} and buys {count:u} for {price} each. How much money is left?",
    "change-note": "{count:u} cost {price} each. {who} hands over {note}. What is the change?",
}
CENTS = {
    "cents-each": "{who} buys {count:u} at {price} each. What is the total price?",
    "cents-one": "One {one} costs {price}. What is the price of {count:u}?",
    "cents-total": "How much are {count:u} if one costs {price}?",
    "cents-stall": "At a market stall {a_one} is {price}. How much does {who} spend on {count:u}?",
}


def make(rng: Rng, level: int) -> Draft:
    if level < 3:
        return _cost(rng, level)
    return rng.pick((_basket, _change, _cents))(rng)


def _cost(rng: Rng, level: int) -> Draft:
    """Prices to $10 at level 1, where a product is one fact; dearer things at level 2."""
    who = rng.pick(PEOPLE)
    ware = rng.pick([ware for ware in WARES if (ware.low < 10 if level == 1 else ware.high > 10)])
    low, high = (ware.low, min(ware.high, 10)) if level == 1 else (max(ware.low, 11), ware.high)
    count, price = given(rng.between(2, 9), ware.name), given(rng.between(low, high), style="dollars")
    form, prompt = phrase(rng, COST, who=who, one=ware.name.one, many=ware.name.many, count=count, price=price)
    cost = working.mul(price, count)
    lines = (
        step("plan", f"total = price * count = {price} * {count}"),
        step("compute", f"{cost:eq}", cost),
    )
    return Draft(form, prompt, f"{count:u} at {price} each: total cost?", lines, f"{cost}")


def _basket(rng: Rng) -> Draft:
    ware, other = rng.some(WARES, 2)
    who = rng.pick(PEOPLE)
    count, others = given(rng.between(2, 6), ware.name), given(rng.between(2, 6), other.name)
    price, fee = (given(rng.between(thing.low, thing.high), style="dollars") for thing in (ware, other))
    singles = {"a_one": a(ware.name.one), "a_other": a(other.name.one)}
    form, prompt = phrase(rng, BASKET, who=who, count=count, price=price, others=others, fee=fee, **singles)
    one, two = working.mul(price, count), working.mul(fee, others)
    cost = working.add(one, two)
    lines = (
        step("compute", f"{ware.name.many.capitalize()}: {one:eq}", one),
        step("compute", f"{other.name.many.capitalize()}: {two:eq}", two),
        step("compute", f"Total: {cost:eq}", cost),
    )
    return Draft(form, prompt, f"{count:u} at {price} each and {others:u} at {fee} each: total cost?", lines, f"{cost}")


def _change(rng: Rng) -> Draft:
    ware, who = rng.pick(WARES), rng.pick(PEOPLE)
    price = given(rng.between(ware.low, ware.high), style="dollars")
    count = given(rng.between(2, min(5, 99 // int(price.value))), ware.name)
    cost = working.mul(price, count)
    note = given(next(note for note in (20, 50, 100) if note > cost.value), style="dollars")
    form, prompt = phrase(rng, CHANGE, who=who, count=count, price=price, note=note)
    change = working.sub(note, cost)
    lines = (
        step("compute", f"Cost: {cost:eq}", cost),
        step("compute", f"Left: {change:eq}", change),
    )
    return Draft(form, prompt, f"{count:u} at {price} each, paid with {note}: change?", lines, f"{change}")


def _cents(rng: Rng) -> Draft:
    thing, who = rng.pick(SMALL_WARES), rng.pick(PEOPLE)
    count = given(rng.between(2, 8), thing)
    dollars, cents = rng.between(1, 4), rng.pick((20, 25, 40, 50, 60, 75, 80))
    price = given(Fraction(dollars * 100 + cents, 100), style="cents")
    form, prompt = phrase(rng, CENTS, who=who, one=thing.one, a_one=a(thing.one), count=count, price=price)
    return Draft(form, prompt, f"{count:u} at {price} each: total price?", *_by_parts(price, count))


def _by_parts(price: Quantity, count: Quantity) -> tuple[tuple[Line, ...], str]:
    whole = given(int(price.value), style="dollars")
    rest = calc("sub", price, whole, style="cents")
    dollars, change = calc("mul", whole, count, style="dollars"), calc("mul", rest, count, style="cents")
    cost = calc("add", dollars, change, style="cents")
    lines = (
        step("decompose", f"{price} = {whole} + {rest}", calc("add", whole, rest, style="cents")),
        step("compute", f"{dollars:eq}", dollars),
        step("compute", f"{change:eq}", change),
        step("compute", f"{cost:eq}", cost),
    )
    return lines, f"{cost}"


TASK = Task(
    name="shopping",
    version=1,
    section="reasoning",
    about="prices, totals and change",
    forms=names(COST, BASKET, CHANGE, CENTS),
    capacity=(10_500, 11_000, 100_000),
    make=make,
)
