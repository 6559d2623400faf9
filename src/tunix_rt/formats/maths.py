"""Public maths sets: GSM8K, OpenR1-Math and kin, reasoning-gym."""

import re
from fractions import Fraction
from typing import Any

from tunix_rt import claims, errors
from tunix_rt.formats import replies
from tunix_rt.formats.core import BadRow, Format, Reply, Row, body, text, values_type, without

_CALCULATOR = re.compile(r"<<([^<>]{0,200})>>")
_SUM = re.compile(r"([0-9.]{1,30})([-+*/])([0-9.]{1,30})=([0-9.]{1,30})")
_OPS = {"+": "add", "-": "sub", "*": "mul", "/": "div"}


def _detect_gsm8k(row: Row) -> bool:
    answer = row.get("answer")
    return isinstance(row.get("question"), str) and isinstance(answer, str) and ("####" in answer or "<<" in answer)


def _read_gsm8k(row: Row) -> dict[str, Any]:
    """Lines are steps. Calculator marks `<<48/2=24>>` leave the text and become claims where they are exact."""
    lines, mark, answer = text(row, "answer").rpartition("####")
    if not mark or not answer.strip():
        raise BadRow("no_answer", "'answer' has no '#### ' line with the result.", "answer")
    kept = [line for line in lines.split("\n") if line.strip()]
    reply = Reply(tuple(_CALCULATOR.sub("", line).strip() or line.strip() for line in kept), answer.strip())
    made = body(text(row, "question"), reply, without(row, "question", "answer"))
    for step, line in zip(made["steps"], kept, strict=False):
        found = [claim for mark in _CALCULATOR.findall(line) if (claim := _claim(mark))]
        if found:
            step["claims"] = found
    marks = {str(i): found for i, line in enumerate(kept, start=1) if (found := _CALCULATOR.findall(line))}
    if marks:
        made["source"]["calculator"] = marks
    return made


def _claim(mark: str) -> dict[str, Any] | None:
    """The claim of a mark of two operands. A rounded result (100/3=33.33) is left out: it is right as meant, not as exact."""
    match = _SUM.fullmatch(mark.replace(" ", "").replace(",", "").replace("$", ""))
    if match is None:
        return None
    try:
        left, right, result = (Fraction(match[part]) for part in (1, 3, 4))
        args = (claims.jsonable(left), claims.jsonable(right))
        true = claims.number(claims.apply(_OPS[match[2]], args))
    except (ValueError, errors.Invalid):
        return None
    precision = Fraction(1, 10 ** len(match[4].partition(".")[2]))
    if true != result and abs(true - result) < precision:
        return None
    return {"op": _OPS[match[2]], "args": list(args), "result": claims.jsonable(result)}


def _detect_openr1(row: Row) -> bool:
    return isinstance(row.get("problem"), str) and ("generations" in row or "solution" in row)


def _read_openr1(row: Row) -> dict[str, Any]:
    """The first generation marked correct and complete, else the written solution; which one is kept in the source."""
    extra = without(row, "problem", "answer", "solution", "generations", "messages")
    prompt, chosen = text(row, "problem"), _generation(row)
    if chosen is None:
        said = text(row, "solution")
        note: dict[str, Any] = {"part": "solution"}
    else:
        said = row["generations"][chosen]
        note = {"part": "generations", "generation": chosen}
    given = row.get("answer")
    reply = _given(said, given) if isinstance(given, str) and given.strip() else replies.parse(said)
    return body(prompt, reply._replace(note={**reply.note, **note}), extra)


def _given(said: str, answer: str) -> Reply:
    """The steps of a text whose answer is known from elsewhere."""
    closed = replies.parse(said) if "</think>" in said else None
    steps = closed.steps if closed and closed.steps else replies.segment(said)
    return Reply(steps, answer, closed.note if closed else {})


def _generation(row: Row) -> int | None:
    found = row.get("generations") or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadRow("wrong_type", f"'generations' is {values_type(found)}, expected a list of texts.", "generations")
    marks = {key: row.get(key) for key in ("correctness_math_verify", "correctness_llama", "is_reasoning_complete")}
    for at in range(len(found)):
        said = {key: value[at] for key, value in marks.items() if isinstance(value, list) and at < len(value)}
        correct = said.get("correctness_math_verify") or said.get("correctness_llama")
        if correct and said.get("is_reasoning_complete", True) and found[at].strip():
            return at
    return None


def _detect_gym(row: Row) -> bool:
    meta = row.get("metadata")
    return isinstance(row.get("question"), str) and "answer" in row and isinstance(meta, dict) and "source_dataset" in meta


def _read_gym(row: Row) -> dict[str, Any]:
    """Question and answer only: such a row carries no reasoning, and its trace says so."""
    reply = Reply((), text(row, "answer"))
    return body(text(row, "question"), reply, without(row, "question", "answer"))


FORMATS = (
    Format("reasoning-gym", "question, answer, metadata; no steps", _detect_gym, _read_gym),
    Format("gsm8k", "question and answer with '#### '", _detect_gsm8k, _read_gsm8k),
    Format("openr1-math", "problem with generations or solution", _detect_openr1, _read_openr1),
)
