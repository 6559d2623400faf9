"""Distance, speed and time: one product, one quotient, or two legs of a trip."""

from typing import NamedTuple

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import Noun, given, noun
from tunix_rt.tasks.rng import Rng


class Vehicle(NamedTuple):
    """`speeds` are plausible, in the unit's distance per hour; `hours` is the longest believable trip."""

    name: str
    verb: str
    unit: Noun
    speeds: tuple[int, ...]
    hours: int


MILE, KILOMETER, HOUR = noun("mile"), noun("kilometer"), noun("hour")
VEHICLES = (
    Vehicle("a train", "travels", MILE, (60, 70, 80, 90, 100, 120), 8),
    Vehicle("a train", "travels", KILOMETER, (80, 90, 100, 120, 140, 150), 8),
    Vehicle("a car", "drives", MILE, (30, 40, 45, 50, 55, 60, 65), 9),
    Vehicle("a car", "drives", KILOMETER, (50, 60, 70, 80, 90, 100), 9),
    Vehicle("a bus", "travels", MILE, (25, 30, 35, 40, 45, 50), 8),
    Vehicle("a cyclist", "rides", MILE, (8, 9, 10, 11, 12, 14, 15), 6),
    Vehicle("a cyclist", "rides", KILOMETER, (12, 14, 15, 16, 18, 20, 22), 6),
    Vehicle("a hiker", "walks", KILOMETER, (3, 4, 5), 7),
    Vehicle("a boat", "sails", MILE, (8, 10, 12, 15, 20, 25), 9),
    Vehicle("a truck", "drives", KILOMETER, (50, 55, 60, 65, 70, 80), 9),
    Vehicle("a runner", "runs", KILOMETER, (8, 9, 10, 11, 12), 3),
)

_TENS = range(10, 101, 10)

DISTANCE = {
    "distance-plain": "{A} {verb} at {speed} {units} per hour for {time:u}. How many {units} does {the} travel?",
    "distance-far": "How far does {a} go in {time:u} at a steady speed of {speed} {units} per hour? Answer in {units}.",
    "distance-every": "Every hour {a} covers {speed} {units}. How many {units} does {the} cover in {time:u}?",
    "distance-trip": "A trip takes {a} {time:u} at {speed} {units} per hour. How long is the trip in {units}?",
}
TIME = {
    "time-plain": "{A} {verb} {distance} {units} at {speed} {units} per hour. How many hours does the trip take?",
    "time-need": "How many hours does {a} need for {distance} {units} at a steady {speed} {units} per hour?",
    "time-left": "{A} has {distance} {units} to go and keeps a speed of {speed} {units} per hour. In how many hours "
    "does {the} arrive?",
    "time-long": "The speed of {a} is {speed} {units} per hour. How long, in hours, do {distance} {units} take?",
}
SPEED = {
    "speed-plain": "{A} {verb} {distance} {units} in {time:u}. What is the speed in {units} per hour?",
    "speed-steady": "At which steady speed, in {units} per hour, does {a} cover {distance} {units} in {time:u}?",
    "speed-average": "It takes {a} {time:u} to cover {distance} {units}. Find the average speed in {units} per hour.",
}
LEGS = {
    "legs-then": "{A} {verb} at {speed} {units} per hour for {time:u} and then at {other} {units} per hour for "
    "{later:u}. How many {units} is that in total?",
    "legs-rest": "{A} {verb} for {time:u} at {speed} {units} per hour, stops for a rest, and goes on for {later:u} "
    "at {other} {units} per hour. What is the total distance in {units}?",
    "legs-first": "For the first {time:u} {a} keeps a speed of {speed} {units} per hour, and for the next {later:u} "
    "a speed of {other} {units} per hour. How many {units} does {the} cover?",
    "legs-parts": "A trip has two parts: {time:u} at {speed} {units} per hour and {later:u} at {other} {units} per "
    "hour. How many {units} long is it?",
}


def make(rng: Rng, level: int) -> Draft:
    if level == 1:
        return _distance(rng, level)
    if level == 2:
        return _distance(rng, level) if rng.chance(1, 3) else _quotient(rng)
    return _legs(rng)


def _trip(rng: Rng) -> tuple[Vehicle, dict[str, str]]:
    vehicle = rng.pick(VEHICLES)
    name = vehicle.name
    words = {"a": name, "A": name.capitalize(), "the": "the" + name[1:], "verb": vehicle.verb, "units": vehicle.unit.many}
    return vehicle, words


def _distance(rng: Rng, level: int) -> Draft:
    """Single digits and tens at level 1, where a product is one fact; any speed after that."""
    vehicle, words = _trip(rng)
    speeds = [speed for speed in vehicle.speeds if level > 1 or speed < 10 or speed in _TENS]
    speed, time = given(rng.pick(speeds)), given(rng.between(2, vehicle.hours), HOUR)
    distance = working.mul(speed, time, vehicle.unit)
    form, prompt = phrase(rng, DISTANCE, speed=speed, time=time, **words)
    lines = (
        step("formula", f"distance = speed * time = {speed} * {time}"),
        step("compute", f"{distance:eq} {distance.unit}", distance),
    )
    terse = f"{speed} {vehicle.unit.many} per hour for {time:u}: how many {vehicle.unit.many}?"
    return Draft(form, prompt, terse, lines, f"{distance}")


def _quotient(rng: Rng) -> Draft:
    vehicle, words = _trip(rng)
    speed, time = given(rng.pick(vehicle.speeds), vehicle.unit), given(rng.between(2, vehicle.hours), HOUR)
    distance = given(int(speed.value * time.value), vehicle.unit)
    wants_time = rng.chance(1, 2)
    form, prompt = phrase(rng, TIME if wants_time else SPEED, speed=speed, time=time, distance=distance, **words)
    wanted, known = ("time", speed) if wants_time else ("speed", time)
    answer = working.div(distance, known, HOUR if wants_time else vehicle.unit)
    by = "speed" if wants_time else "time"
    unit = answer.unit if wants_time else f"{answer.unit} per hour"
    lines = (
        step("formula", f"{wanted} = distance / {by} = {distance} / {known}"),
        step("compute", f"{answer:eq} {unit}", answer),
    )
    ask = "how many hours?" if wants_time else f"how many {vehicle.unit.many} per hour?"
    terse = f"{distance:u} {'at ' + format(speed, 'u') + ' per hour' if wants_time else 'in ' + format(time, 'u')}: {ask}"
    return Draft(form, prompt, terse, lines, f"{answer}")


def _legs(rng: Rng) -> Draft:
    vehicle, words = _trip(rng)
    first, second = (given(speed) for speed in rng.some(vehicle.speeds, 2))
    half = max(2, vehicle.hours // 2)
    time, later = given(rng.between(2, half), HOUR), given(rng.between(2, half), HOUR)
    form, prompt = phrase(rng, LEGS, speed=first, other=second, time=time, later=later, **words)
    one, two = working.mul(first, time, vehicle.unit), working.mul(second, later, vehicle.unit)
    distance = working.add(one, two, vehicle.unit)
    lines = (
        step("compute", f"First part: {one:eq} {one.unit}", one),
        step("compute", f"Second part: {two:eq} {two.unit}", two),
        step("compute", f"Total: {distance:eq} {distance.unit}", distance),
    )
    units = vehicle.unit.many
    terse = f"{time:u} at {first} {units} per hour, then {later:u} at {second} {units} per hour: how many {units} in total?"
    return Draft(form, prompt, terse, lines, f"{distance}")


TASK = Task(
    name="speed",
    version=1,
    section="reasoning",
    about="distance, speed and time",
    forms=names(DISTANCE, TIME, SPEED, LEGS),
    capacity=(1_000, 4_500, 7_500),
    make=make,
)
