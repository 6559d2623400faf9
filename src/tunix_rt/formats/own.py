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
        rows = [_step(step, f"steps.{at}") for at, step in enumerate(steps)]
        indices = [step.get("i") for step in rows]
        if indices != list(range(1, len(rows) + 1)):
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


def _step(step: object, where: str) -> dict[str, Any]:
    if not isinstance(step, dict):
        raise BadRow("wrong_type", f"{where!r} is {values_type(step)}, expected an object.", where)
    kept = dict(step)
    if isinstance(kept.get("claims"), str) or ("claims" in kept and kept["claims"] is None):
        kept["claims"] = strict.nested(kept["claims"] or "[]", f"{where}.claims")
    return kept


def _increasing(indices: list[object]) -> None:
    numbers = [i for i in indices if isinstance(i, int) and not isinstance(i, bool)]
    if len(numbers) != len(indices):
        raise BadRow("bad_steps", "every step needs a whole number 'i'.", "steps.i")
    if numbers[0] < 0 or any(a >= b for a, b in pairwise(numbers)):
        raise BadRow("bad_steps", f"step indices {numbers[:20]!r} do not increase, so their order is not known.", "steps.i")


FORMATS = (Format("tunix-rt", "trace lines of this project, strict or older", _detect, _read),)
