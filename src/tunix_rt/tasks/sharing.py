"""Sharing and packing: equal shares, what is left over, and sharing after something was taken away."""

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import calc, given, noun
from tunix_rt.tasks.lexicon import PEOPLE, THINGS
from tunix_rt.tasks.rng import Rng

FRIEND, BAG = noun("friend"), noun("bag")
SHARE = {
    "share-among": "{who} shares {total:u} equally among {friends:u}. How many {things} does each friend get?",
    "share-each": "{total:u} are divided equally between {friends:u}. How many {things} are there for each?",
    "share-bags": "{who} puts {total:u} into {bags:u}, the same number in each. How many {things} are in one bag?",
    "share-rows": "{who} lays {total:u} in {parts} equal rows. How many {things} are in each row?",
}
LEFT = {
    "left-over": "{who} has {total:u} and packs them into bags of {parts}. How many {things} are left over?",
    "left-most": "{who} fills as many bags of {parts} as possible from {total:u}. How many {things} are not packed?",
    "left-share": "{total:u} are shared among {friends:u} so that everybody gets the same whole number. How many "
    "{things} remain?",
}
FULL = {
    "full-bags": "{who} has {total:u} and packs them into bags of {parts}. How many full bags are there?",
    "full-need": "Each bag takes {parts} {things}. How many bags can {who} fill with {total:u}?",
    "full-packs": "{total:u} are packed into bags of {parts}. How many bags can be filled completely?",
}
AFTER = {
    "after-keeps": "{who} has {all:u}, keeps {kept} and shares the rest equally among {friends:u}. How many "
    "{things} does each friend get?",
    "after-aside": "Of {all:u}, {who} puts {kept} aside. The remaining ones are shared equally by {friends:u}. How "
    "many {things} is that each?",
    "after-bags": "{who} has {all:u}, gives away {kept} and packs the rest into {bags:u} with the same number in "
    "each. How many {things} are in one bag?",
    "after-lost": "{who} had {all:u} but lost {kept}. The others go into {bags:u} in equal numbers. How many "
    "{things} are in each bag?",
}


def make(rng: Rng, level: int) -> Draft:
    if level == 1:
        return _share(rng)
    if level == 2:
        return _left(rng)
    return _after(rng)


def _share(rng: Rng) -> Draft:
    who, thing = rng.pick(PEOPLE), rng.pick(THINGS)
    parts = given(rng.between(2, 9))
    total = given(int(parts.value) * rng.between(2, 15), thing)
    form, prompt = phrase(
        rng, SHARE, who=who, total=total, things=thing.many, parts=parts, friends=parts.named(FRIEND), bags=parts.named(BAG)
    )
    each = working.div(total, parts, thing)
    lines = (step("plan", f"{total} {thing.many} in {parts} equal parts"), step("compute", f"{each:eq}", each))
    return Draft(form, prompt, f"{total:u} in {parts} equal parts: how many in each?", lines, f"{each}")


def _left(rng: Rng) -> Draft:
    who, thing = rng.pick(PEOPLE), rng.pick(THINGS)
    parts = given(rng.between(3, 9))
    total = given(int(parts.value) * rng.between(2, 9) + rng.between(1, int(parts.value) - 1), thing)
    wants_full = rng.chance(1, 2)
    form, prompt = phrase(
        rng, FULL if wants_full else LEFT, who=who, total=total, things=thing.many, parts=parts, friends=parts.named(FRIEND)
    )
    times = calc("quotient", total, parts)
    used = working.mul(times, parts)
    left = working.sub(total, used)
    rest = calc("remainder", total, parts)
    lines = (
        step("compute", f"{used:eq} is the most that fits in {total}", used, times),
        step("compute", f"{left:eq} left over", left),
        step("conclude", f"{total} / {parts} = {times} remainder {rest}", times, rest),
    )
    ask = "how many full bags" if wants_full else "how many left over"
    return Draft(form, prompt, f"{total:u} in groups of {parts}: {ask}?", lines, f"{times if wants_full else left}")


def _after(rng: Rng) -> Draft:
    who, thing = rng.pick(PEOPLE), rng.pick(THINGS)
    parts, kept = given(rng.between(2, 8)), given(rng.between(3, 20))
    rest = int(parts.value) * rng.between(3, 12)
    everything = given(rest + int(kept.value), thing)
    form, prompt = phrase(
        rng, AFTER, who=who, all=everything, kept=kept, things=thing.many, friends=parts.named(FRIEND), bags=parts.named(BAG)
    )
    left = working.sub(everything, kept, thing)
    each = working.div(left, parts, thing)
    lines = (step("compute", f"To share: {left:eq}", left), step("compute", f"Each: {each:eq}", each))
    return Draft(form, prompt, f"{everything:u} minus {kept}, in {parts} equal parts: how many in each?", lines, f"{each}")


TASK = Task(
    name="sharing",
    version=1,
    section="reasoning",
    about="equal parts and what is left over",
    forms=names(SHARE, LEFT, FULL, AFTER),
    capacity=(30_000, 50_000, 100_000),
    make=make,
)
