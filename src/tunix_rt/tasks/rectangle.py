"""Rectangles: area and perimeter, a side that is missing, and what covering or fencing one costs."""

from tunix_rt.tasks import working
from tunix_rt.tasks.core import Draft, Task, names, phrase, step
from tunix_rt.tasks.handles import Quantity, calc, given, noun
from tunix_rt.tasks.rng import Rng

METER = noun("meter")
PLACES = ("garden", "yard", "terrace", "playground", "courtyard", "patio")
AREA = {
    "area-place": "A rectangular {place} is {long:u} long and {wide:u} wide. What is its area in square meters?",
    "area-by": "Find the area of {long:a} by {wide} meter {place} in square meters.",
}
AROUND = {
    "around-place": "A rectangular {place} is {long:u} long and {wide:u} wide. What is its perimeter in meters?",
    "around-walk": "{long} meters long and {wide} meters wide: how many meters is it once around this rectangular {place}?",
}
SIDE = {
    "side-area": "A rectangular {place} has an area of {area} square meters and is {wide:u} wide. How many meters long is it?",
    "side-know": "{area} square meters is the area of a rectangular {place}. It is {wide:u} wide. What is its "
    "length in meters?",
    "side-how": "How many meters long is a rectangular {place} of {area} square meters that is {wide:u} wide?",
    "side-found": "The area of a rectangular {place} is {area} square meters. One side is {wide:u}. How many meters "
    "is the other side?",
}
COST = {
    "cost-floor": "A rectangular {place} is {long:u} long and {wide:u} wide. Covering it costs {price} per square "
    "meter. What is the total cost?",
    "cost-paving": "Paving {long:a} by {wide} meter {place} costs {price} per square meter. How much is it in total?",
    "cost-rope": "A rope is put around a {place} that is {long:u} long and {wide:u} wide. One meter of rope costs "
    "{price}. How much does the rope cost?",
    "cost-fence": "A fence around {long:a} by {wide} meter {place} costs {price} per meter. What does the whole fence cost?",
}


def make(rng: Rng, level: int) -> Draft:
    place = rng.pick(PLACES)
    wide = given(rng.between(2, 9), METER)
    long = given(rng.between(int(wide.value) + 1, 20 if level < 3 else 12), METER)
    if level == 1:
        return _area(rng, place, long, wide) if rng.chance(1, 2) else _around(rng, place, long, wide)
    return _side(rng, place, long, wide) if level == 2 else _cost(rng, place, long, wide)


def _area(rng: Rng, place: str, long: Quantity, wide: Quantity) -> Draft:
    form, prompt = phrase(rng, AREA, place=place, long=long, wide=wide)
    area = working.mul(long, wide)
    lines = (step("formula", f"area = length * width = {long} * {wide}"), step("compute", f"{area:eq}", area))
    return Draft(form, prompt, f"Area of {long} by {wide}?", lines, f"{area}")


def _perimeter(long: Quantity, wide: Quantity) -> tuple[Quantity, Quantity]:
    half = working.add(long, wide)
    return half, working.mul(half, given(2))


def _around(rng: Rng, place: str, long: Quantity, wide: Quantity) -> Draft:
    form, prompt = phrase(rng, AROUND, place=place, long=long, wide=wide)
    half, around = _perimeter(long, wide)
    lines = (
        step("formula", "perimeter = two times (length + width)"),
        step("compute", f"{half:eq}", half),
        step("compute", f"{around:eq}", around),
    )
    return Draft(form, prompt, f"Perimeter of {long} by {wide}?", lines, f"{around}")


def _side(rng: Rng, place: str, long: Quantity, wide: Quantity) -> Draft:
    area = calc("mul", long, wide)
    form, prompt = phrase(rng, SIDE, place=place, area=area, wide=wide)
    side = working.div(area, wide)
    lines = (step("formula", f"length = area / width = {area} / {wide}"), step("compute", f"{side:eq}", side))
    return Draft(form, prompt, f"Area {area}, one side {wide}: other side?", lines, f"{side}")


def _cost(rng: Rng, place: str, long: Quantity, wide: Quantity) -> Draft:
    price = given(rng.between(2, 9), style="dollars")
    form, prompt = phrase(rng, COST, place=place, long=long, wide=wide, price=price)
    half, around = _perimeter(long, wide)
    area = working.mul(long, wide)
    floor = form in ("cost-floor", "cost-paving")
    size = area if floor else around
    first = [step("compute", f"Area: {area:eq}", area)]
    if not floor:
        first = [step("compute", f"Length + width: {half:eq}", half), step("compute", f"Perimeter: {around:eq}", around)]
    cost = working.mul(size, price)
    lines = (*first, step("compute", f"Cost: {cost:eq}", cost))
    return Draft(
        form, prompt, f"{'Area' if floor else 'Perimeter'} of {long} by {wide}, times {price}: cost?", lines, f"{cost}"
    )


TASK = Task(
    name="rectangle",
    version=1,
    section="reasoning",
    about="area, perimeter, a missing side, costs",
    forms=names(AREA, AROUND, SIDE, COST),
    capacity=(2_500, 2_500, 6_500),
    make=make,
)
