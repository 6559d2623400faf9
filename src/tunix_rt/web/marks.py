"""The product's own marks as numbers and paths that templates only print: strip, interval, bars, sparkline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunix_rt.checking import Verdict

CELL, GAP, HEIGHT, WIDEST = 8, 1, 10, 220
WORDS: dict[Verdict, str] = {"ok": "verified", "wrong": "wrong", "ungrounded": "unsure", "unchecked": "not checked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One cell a step, a path for each kind of verdict: filled verified, notched wrong, half unsure, hollow unchecked."""

    width: float
    ok: str
    wrong: str
    half: str
    hollow: str
    label: str


def strip(verdicts: Sequence[Verdict]) -> Strip:
    """Equal cells, narrower where there are many."""
    cell = CELL if len(verdicts) * (CELL + GAP) <= WIDEST else max(1.5, WIDEST / len(verdicts) - GAP)
    return _strip(verdicts, [cell] * len(verdicts), HEIGHT)


def wide_strip(verdicts: Sequence[Verdict], lengths: Sequence[int], width: int = 640) -> Strip:
    """Cells as wide as their steps are long, over a given width at most."""
    whole = sum(lengths) or 1
    room = max(width - GAP * len(lengths), 1)
    scale = min(room / whole, 2.5)
    return _strip(verdicts, [max(3.0, length * scale) for length in lengths], 14)


def _strip(verdicts: Sequence[Verdict], widths: Sequence[float], height: int) -> Strip:
    paths: dict[Verdict, list[str]] = {kind: [] for kind in WORDS}
    halves: list[str] = []
    x = 0.0
    for verdict, width in zip(verdicts, widths, strict=True):
        at, w = _n(x), _n(width)
        if verdict == "ok":
            paths["ok"].append(f"M{at} 0h{w}v{height}h-{w}z")
        elif verdict == "wrong":
            paths["wrong"].append(
                f"M{at} 0h{w}v{height}l-{_n(width / 2)} -{_n(height * 0.4)}l-{_n(width / 2)} {_n(height * 0.4)}z"
            )
        else:
            inner, inside = _n(max(width - 1, 0.5)), height - 1
            paths["unchecked"].append(f"M{_n(x + 0.5)} .5h{inner}v{inside}h-{inner}z")
            if verdict == "ungrounded":
                halves.append(f"M{at} {_n(height / 2)}h{w}v{_n(height / 2)}h-{w}z")
        x += width + GAP
    label = f"{len(verdicts)} steps: " + ", ".join(
        f"{verdicts.count(kind)} {word}" for kind, word in WORDS.items() if kind in verdicts
    )
    return Strip(
        width=round(max(x - GAP, 1), 1),
        ok="".join(paths["ok"]),
        wrong="".join(paths["wrong"]),
        half="".join(halves),
        hollow="".join(paths["unchecked"]),
        label=label,
    )


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value and its interval on a scale from `low` to `high`, in a box 120 wide; `zero` is where 0 lies, if inside."""

    at: float
    left: float
    right: float
    zero: float | None
    label: str


def interval(value: float, ends: Sequence[float], label: str, low: float = 0.0, high: float = 1.0) -> Interval:
    def place(number: float) -> float:
        return round(2 + 116 * (min(max(number, low), high) - low) / (high - low), 1)

    zero = place(0.0) if low < 0 < high else None
    return Interval(at=place(value), left=place(ends[0]), right=place(ends[1]), zero=zero, label=label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """`share` is of the largest bar, from 0 to 100."""

    name: str
    count: int
    share: float


def bars(counts: Mapping[str, int], most: int = 24) -> tuple[Bar, ...]:
    """In the order given, at most so many; the rest is one bar."""
    top = max(counts.values(), default=1) or 1
    items = list(counts.items())
    if len(items) > most:
        ranked = sorted(items, key=lambda item: -item[1])
        rest = sum(count for _, count in ranked[most - 1 :])
        items = [*ranked[: most - 1], (f"{len(ranked) - most + 1} more", rest)]
    return tuple(Bar(name=name, count=count, share=round(min(100, 100 * count / top), 2)) for name, count in items)


def sparkline(values: Sequence[float], width: int = 96, height: int = 18) -> str:
    """An SVG path through the values; empty for fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = width / (len(values) - 1)
    places = (f"{_n(i * step)} {_n(1 + (height - 2) * (1 - (value - low) / span))}" for i, value in enumerate(values))
    return "M" + "L".join(places)
