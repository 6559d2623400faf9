"""Things that come and go: two changes, three changes with a detail that does not matter, and boxes of several."""

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, Words, names, phrase, step
from tunix_rt.tasks.handles import Quantity, given, noun
from tunix_rt.tasks.lexicon import PEOPLE, THINGS
from tunix_rt.tasks.rng import Rng

BOX = noun("box", "boxes")
TWO = {
    "two-gets": "{who} has {start:u}, gets {plus} more and gives away {minus}. How many {things} does {who} have now?",
    "two-finds": "{who} has {start:u}. {who} finds {plus} more and then loses {minus}. How many {things} are there now?",
    "two-jar": "A jar holds {start:u}. {who} puts in {plus} and takes out {minus}. How many {things} are in the jar then?",
    "two-buys": "{who} starts the day with {start:u}, buys {plus} and sells {minus}. How many {things} does {who} "
    "have in the evening?",
}
THREE = {
    "three-week": "On Monday {who} has {start:u}. On Tuesday {who} buys {plus}, on Wednesday {who} gives {minus} to "
    "{friend}, and on Thursday {who} buys {again} more. How many {things} does {who} have at the end?",
    "three-game": "{who} starts a game with {start:u}, wins {plus}, then loses {minus} to {friend} and in the end "
    "wins {again}. How many {things} is that?",
    "three-shelf": "There are {start:u} on shelf number {age}. {who} adds {plus}, {friend} takes {minus} away, and "
    "{who} adds {again} more. How many {things} are on the shelf?",
    "three-age": "{who} is {age} years old and has {start:u}. {who} gets {plus} from {friend}, loses {minus} and "
    "finds {again}. How many {things} does {who} have now?",
}
BOXES = {
    "boxes-buys": "{who} has {start:u} and buys {boxes:u} of {each}. How many {things} does {who} have now?",
    "boxes-finds": "{boxes:u} with {each:u} in each stand next to {start} loose {things}. How many {things} are "
    "there altogether?",
    "boxes-sells": "{who} packs {each:u} into each of {boxes:u} and then sells {minus} {things}. How many {things} remain?",
    "boxes-gives": "{who} has {boxes:u} with {each:u} in each and gives {minus} {things} to {friend}. How many "
    "{things} are left?",
}


def make(rng: Rng, level: int) -> Draft:
    who, friend = rng.some(PEOPLE, 2)
    thing = rng.pick(THINGS)
    words = {"who": who, "friend": friend, "things": thing.many}
    if level == 3:
        return _boxes(rng, words, given(rng.between(11, 30), thing))
    start, plus = given(rng.between(10, 50), thing), given(rng.between(3, 30))
    first = working.add(start, plus)
    minus = given(rng.between(2, min(25, int(first.value) - 2)))
    second = working.sub(first, minus)
    if level == 1:
        form, prompt = phrase(rng, TWO, start=start, plus=plus, minus=minus, **words)
        changes = (step("compute", f"{first:eq}", first), step("compute", f"{second:eq}", second))
        return Draft(form, prompt, f"{start} {thing.many}, plus {plus}, minus {minus}: how many?", changes, f"{second}")
    again, age = given(rng.between(2, 9)), given(rng.between(7, 16))
    form, prompt = phrase(rng, THREE, start=start, plus=plus, minus=minus, again=again, age=age, **words)
    last = working.add(second, again)
    lines = tuple(step("compute", f"{change:eq}", change) for change in (first, second, last))
    return Draft(form, prompt, f"{start} {thing.many}, plus {plus}, minus {minus}, plus {again}: how many?", lines, f"{last}")


def _boxes(rng: Rng, words: Words, each: Quantity) -> Draft:
    boxes = given(rng.between(2, 6), BOX)
    full = working.mul(each, boxes)
    start, minus = given(rng.between(5, 40), each.noun), given(rng.between(5, int(full.value) - 5))
    form, prompt = phrase(rng, BOXES, start=start, boxes=boxes, each=each, minus=minus, **words)
    buys = form in ("boxes-buys", "boxes-finds")
    answer = working.add(start, full) if buys else working.sub(full, minus)
    lines = (
        step("compute", f"In the boxes: {full:eq}", full),
        step("compute", f"{'Total' if buys else 'Left'}: {answer:eq}", answer),
    )
    change = f"plus {start}" if buys else f"minus {minus}"
    return Draft(form, prompt, f"{boxes:u} of {each}, {change}: how many {words['things']}?", lines, f"{answer}")


TASK = Task(
    name="stock",
    version=1,
    section="reasoning",
    about="things that come and go",
    forms=names(TWO, THREE, BOXES),
    capacity=(100_000, 100_000, 100_000),
    make=make,
)
