"""This project's own trace lines: the strict form, and older ones whose steps were numbered from 0 or with gaps.

Renumbered steps keep their old indices in `meta.source.indices`. In tables `meta`, `claims` and
`steps` may be JSON text.
"""

from itertools import pairwise
from typing import Any

from tunix_rt.formats import strict
from tunix_rt.formats.core import BadRow, Format, Row, values_type


def _detect(row: Row) -> bool:
    steps = row.get("steps")
    listed = steps.lstrip().startswith("[") if isinstance(steps, str) else "steps" in row
    return "trace_version" in row or (listed and "prompt" in row)


def _read(row: Row) -> dict[str, Any]:
    body = dict(row)
    for key in ("trace_version", "meta"):
        if body.get(key) is None:
            body.pop(key, None)
    if "meta" in body:
        body["meta"] = _meta(body["meta"])
    if isinstance(body.get("steps"), str):
        body["steps"] = strict.nested(body["steps"], "steps")
    steps = body.get("steps")
    if isinstance(steps, list) and steps:
        rows = [_step(step, at) for at, step in enumerate(steps)]
        if any(step.get("i") != i for i, step in enumerate(rows, start=1)):
            indices = [step.get("i") for step in rows]
            _increasing(indices)
            rows = [{**step, "i": i} for i, step in enumerate(rows, start=1)]
            body["source"] = {"indices": indices}
        body["steps"] = rows
    return body


def _meta(meta: object) -> dict[str, Any]:
    found = strict.nested(meta, "meta")
    if not isinstance(found, dict):
        raise BadRow("wrong_type", f"'meta' is {values_type(found)}, expected an object.", "meta")
    return found


def _step(step: object, at: int) -> dict[str, Any]:
    """The step itself, or a copy of it with its claims read from text."""
    if not isinstance(step, dict):
        raise BadRow("wrong_type", f"'steps.{at}' is {values_type(step)}, expected an object.", f"steps.{at}")
    claims = step.get("claims", ())
    if claims is None or isinstance(claims, str):
        return {**step, "claims": strict.nested(claims or "[]", f"steps.{at}.claims")}
    return step


def _increasing(indices: list[object]) -> None:
    numbers = [i for i in indices if isinstance(i, int) and not isinstance(i, bool)]
    if len(numbers) != len(indices):
        raise BadRow("bad_steps", "every step needs a whole number 'i'.", "steps.i")
    if numbers[0] < 0 or any(a >= b for a, b in pairwise(numbers)):
        raise BadRow("bad_steps", f"step indices {numbers[:20]!r} do not increase, so their order is not known.", "steps.i")


FORMATS = (Format("tunix-rt", "trace lines of this project, strict or older", _detect, _read),)
