"""Every task at every level: pinned output, true and visible claims, distinct prompts, nothing but the key decides."""

import ast
import hashlib
import importlib
import json
import os
import string
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tunix_rt import errors, tasks
from tunix_rt.tasks import CATALOGUE, LEVELS, TRANSFORMS, Task
from tunix_rt.traces import Trace, id_of
from tunix_rt.values import canonical, jsonl_line, jsonl_line_exact

GOLDEN = Path(__file__).with_name("golden.json")
CELLS = [pytest.param(task, level, id=f"{task.name}/{level}") for task, level in product(CATALOGUE.values(), LEVELS)]
SOURCES = sorted(path for path in Path(tasks.__file__).parent.glob("*.py") if path.name != "__init__.py")
FOUNDATION = {"core", "handles", "lexicon", "rng", "transforms", "working"}


def first(task: Task, level: int, count: int = 64, seed: int = 42) -> list[Trace]:
    return [tasks.item(task, level, seed, k) for k in range(count)]


def digest(traces: list[Trace]) -> str:
    return hashlib.sha256(b"\n".join(canonical(trace.line()) for trace in traces)).hexdigest()[:16]


def test_output_is_pinned() -> None:
    """Changed on purpose? Raise the task's version and write this dictionary to golden.json."""
    made = {
        f"{task.name}@{task.version}/{level}": digest(first(task, level)) for task in CATALOGUE.values() for level in LEVELS
    }
    assert made == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize(("task", "level"), CELLS)
def test_claims_are_true_and_shown(task: Task, level: int) -> None:
    assert [problem for trace in first(task, level) for problem in tasks.problems(trace)] == []


@pytest.mark.parametrize(("task", "level"), CELLS)
def test_arithmetic_is_covered_by_claims(task: Task, level: int) -> None:
    loose = [
        step.content for trace in first(task, level, 16) for step in trace.steps if step.type == "compute" and not step.claims
    ]
    assert loose == []
    assert all(any(step.claims for step in trace.steps) for trace in first(task, level, 16))


@pytest.mark.parametrize(("task", "level"), CELLS)
def test_prompts_are_distinct(task: Task, level: int) -> None:
    wanted = min(task.capacity[level - 1], 300)
    prompts: set[str] = set()
    for k in range(4 * wanted):
        prompts.add(tasks.item(task, level, 42, k).prompt)
        if len(prompts) == wanted:
            return
    pytest.fail(f"{len(prompts)} distinct prompts in {4 * wanted} items; the capacity says {task.capacity[level - 1]}")


@pytest.mark.parametrize("task", CATALOGUE.values(), ids=CATALOGUE)
def test_every_group_is_declared_and_reached(task: Task) -> None:
    reached = {trace.meta["group"] for level in LEVELS for trace in first(task, level, 120)}
    assert reached == set(task.groups)


@pytest.mark.parametrize(("task", "level"), CELLS)
def test_every_level_has_four_forms(task: Task, level: int) -> None:
    assert len({trace.meta["group"] for trace in first(task, level, 120)}) >= 4


@pytest.mark.parametrize(("task", "level"), CELLS)
def test_traces_stay_short(task: Task, level: int) -> None:
    for trace in first(task, level):
        assert len(trace.steps) <= 6
        assert sum(len(step.content) for step in trace.steps) <= 360


def test_item_does_not_depend_on_order() -> None:
    task = CATALOGUE["shopping"]
    backwards = [tasks.item(task, 2, 42, k) for k in reversed(range(20))]
    assert backwards[::-1] == first(task, 2, 20)


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_item_does_not_depend_on_the_process(hash_seed: str) -> None:
    program = (
        "from tunix_rt import tasks\n"
        "print([tasks.item(t, level, 42, k).id for t in tasks.CATALOGUE.values() for level in (1, 2, 3) for k in (0, 1)])"
    )
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    printed = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(
        [trace.id for task in CATALOGUE.values() for level in LEVELS for trace in first(task, level, 2)]
    )


@pytest.mark.parametrize(("task", "level"), CELLS)
def test_a_line_is_the_line_of_its_validated_trace(task: Task, level: int) -> None:
    """Datasets are written from such lines without building the traces."""
    for k, transform in product(range(8), (None, *TRANSFORMS)):
        line = tasks.line(tasks.draft(task, level, 7, k, transform), task, level, f"7/{k}", transform)
        trace = Trace.parse(line, source="generated")
        assert jsonl_line_exact(line) == jsonl_line(line) == jsonl_line(trace.line())
        assert id_of(line) == trace.id == trace.digest
        assert trace == tasks.item(task, level, 7, k, transform)


def test_problems_are_found() -> None:
    """The negative control of the two tests above: a false claim, a hidden one, and an answer that is not reached."""
    trace = tasks.item(CATALOGUE["arithmetic"], 1, 42, 0)
    last = trace.steps[-1]
    false = last.claims[0].model_copy(update={"result": 9999})
    for steps, message in (
        ((*trace.steps[:-1], last.model_copy(update={"claims": (false,)})), "= 9999; it is"),
        ((*trace.steps[:-1], last.model_copy(update={"content": f"so {trace.final_answer}"})), "does not show"),
        ((*trace.steps[:-1], last.model_copy(update={"content": "done", "claims": ()})), "does not state the answer"),
    ):
        assert message in "; ".join(tasks.problems(trace.model_copy(update={"steps": steps})))


@pytest.mark.parametrize(
    ("op", "args", "result", "text", "hidden"),
    [
        ("sum", ((3, 4),), 7, "3 + 4 = 7", ""),
        ("sum", ((3, 4),), 7, "3 makes 7", "(3, 4)"),
        ("add", (3, -4), -1, "3 + -4 = -1", ""),
        ("add", ("1/2", "1/4"), "3/4", "0.5 + 1/4 = 0.75.", ""),
        ("add", ("1/2", "1/4"), "3/4", "0.5 + 1/5 = 0.75.", "'1/4'"),
        ("mul", (3, 4), 12, "3.4 * 4 = 12", "3"),
        ("compare", (3, "<", 4), True, "3 is less than 4", ""),
        ("sort", (("b", "a"),), ("a", "b"), "from B and A", ""),
        ("sort", (("bee", "ant"),), ("ant", "bee"), "first the ant", "('bee', 'ant')"),
    ],
)
def test_a_claim_is_looked_for_in_its_text(op: str, args: tuple[Any, ...], result: Any, text: str, hidden: str) -> None:
    step = {"i": 1, "type": "compute", "content": text, "claims": [{"op": op, "args": args, "result": result}]}
    for line in ({"steps": [step], "final_answer": text}, json.loads(json.dumps({"steps": [step], "final_answer": text}))):
        found = tasks.problems(line)
        assert len(found) == bool(hidden)
        assert not hidden or found[0].replace("[", "(").replace("]", ")").endswith(f"does not show {hidden}")


def test_unknown_task_suggests_a_known_one() -> None:
    with pytest.raises(errors.NotFound, match=r"no task 'sped'\. Did you mean 'speed'\?"):
        tasks.get("sped")


def _literals(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    plain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in plain]
    return [text for text in texts if isinstance(text, str)]


# `gym` writes no text of its own; names of datasets have digits
@pytest.mark.parametrize("path", [path for path in SOURCES if path.stem not in ("handles", "gym")], ids=lambda path: path.stem)
def test_numbers_enter_text_through_handles_only(path: Path) -> None:
    assert [text for text in _literals(path) if set(text) & set(string.digits)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_tasks_do_not_know_each_other(path: Path) -> None:
    module = importlib.import_module(f"tunix_rt.tasks.{path.stem}")
    imported = {
        node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.module
    }
    own = {name.removeprefix("tunix_rt.tasks.").split(".")[0] for name in imported if name.startswith("tunix_rt.tasks.")}
    assert own <= FOUNDATION
    assert module.__doc__


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_leave_every_task_true(name: str) -> None:
    for task in CATALOGUE.values():
        trace = tasks.item(task, 2, 42, 3, name)
        assert (trace.meta["transform"], trace.meta["section"]) == (name, "edge")
        assert list(tasks.problems(trace)) == []
