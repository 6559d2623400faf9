"""Rules and what follows from them: from every A is a B, and from no A is a B; and what does not follow."""

from typing import NamedTuple

from tunix_rt.tasks.core import Draft, Line, Task, names, step
from tunix_rt.tasks.handles import rewrite, word
from tunix_rt.tasks.lexicon import PEOPLE, a, words
from tunix_rt.tasks.rng import Rng

KINDS = words(
    "blick dax wug fep zup toma lorp gorp tove rath brill quab snark plim drell vorn krim sarn jub mome pell tulver wern glim"
)
ASK = {
    "plain": "{rules} {name} is {fact}. Is {name} {goal}? Answer yes, no or unknown.",
    "known": "Here is what is known: {rules} {name} is {fact}. Is {name} {goal}? Answer yes, no or unknown.",
    "suppose": "Suppose that {name} is {fact}. {rules} Does it follow that {name} is {goal}? Answer yes, no or unknown.",
    "told": "You are told: {name} is {fact}. {rules} Answer yes, no or unknown: is {name} {goal}?",
}


class Rule(NamedTuple):
    """Every A is a B, or no A is a B."""

    one: str
    other: str
    positive: bool

    def __str__(self) -> str:
        return f"{'Every' if self.positive else 'No'} {self.one} is {a(self.other)}."

    @property
    def then(self) -> str:
        return a(self.other) if self.positive else f"not {a(self.other)}"


def make(rng: Rng, level: int) -> Draft:
    name = rng.pick(PEOPLE).name
    kinds = rng.some(KINDS, level + 1 if level < 3 else 4)
    positive = rng.chance(1, 2) if level == 1 else rng.chance(2, 3)
    last = len(kinds) - 2
    rules = [Rule(kinds[i], kinds[i + 1], i < last or positive) for i in range(last + 1)]
    form = rng.pick(tuple(ASK))
    backwards = level > 1 and rng.chance(1, 4)
    fact, goal = (kinds[-1], kinds[0]) if backwards and positive else (kinds[0], kinds[-1])
    lines, answer = _unknown(name, rules, fact) if backwards and positive else _follow(name, rules)
    told = " ".join(map(str, rules))
    prompt = ASK[form].format(rules=told, name=name, fact=a(fact), goal=a(goal))
    return Draft(form, prompt, f"{told} {name} is {a(fact)}. {name} is {a(goal)}: yes, no or unknown?", lines, answer)


def _follow(name: str, rules: list[Rule]) -> tuple[tuple[Line, ...], str]:
    lines = []
    for rule in rules:
        then = rewrite("modus_ponens", word(a(rule.one)), word(rule.then), word(a(rule.one)))
        lines.append(step("deduce", f"{name} is {a(rule.one)}. {rule} So {name} is {then}.", then))
    answer = "yes" if rules[-1].positive else "no"
    return (*lines, step("conclude", f"The answer is {answer}.")), answer


def _unknown(name: str, rules: list[Rule], fact: str) -> tuple[tuple[Line, ...], str]:
    rule = rules[-1]
    open_ = rewrite("modus_ponens", word(a(rule.one)), word(a(rule.other)), word(a(fact)))
    lines = (
        step("given", f"{name} is {a(fact)}."),
        step("deduce", f"The rule needs {a(rule.one)} and gives {a(rule.other)}; it does not work backwards: {open_}.", open_),
        step("conclude", f"The answer is {open_}."),
    )
    return lines, f"{open_}"


TASK = Task(
    name="logic",
    version=1,
    section="synthetic",
    about="what follows from rules, and what does not",
    forms=names(ASK),
    capacity=(18_000, 100_000, 100_000),
    make=make,
)
