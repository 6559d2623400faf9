"""Numbers, times and names as a page shows them."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def whole(number: int) -> str:
    return f"{number:,}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """A difference of shares, with its sign."""
    return f"{100 * difference:+.1f}"


def interval(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def figure(number: float) -> str:
    """Four significant digits."""
    return f"{number:.4g}"


def size(count: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def seconds(length: float) -> str:
    """As a person says it."""
    if length < 100:
        return f"{length:.1f} s" if length < 10 else f"{length:.0f} s"
    minutes = round(length / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    past = max(0.0, (now - moment).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if past >= length:
            return f"{int(past // length)} {unit} ago"
    return "just now"


def short(text: str, limit: int = 160) -> str:
    """The text on one line, cut where it gets long."""
    line = " ".join(text[: 4 * limit].split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def command(*words: Any, **options: Any) -> str:
    """The command line with these words and options; options that are None are left out, True ones are bare flags."""
    given = ["tunix-rt", *map(str, words)]
    for name, value in options.items():
        if value is True:
            given.append(f"--{name.replace('_', '-')}")
        elif value is not None and value is not False:
            given += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(given)


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
