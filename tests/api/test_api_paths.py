"""S6: 200 texts that want to be paths, in every parameter that is text: none leads to a file."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode

import pytest
from fastapi import FastAPI

from asking import asked, owner
from tunix_rt import access, api
from tunix_rt.api import reference
from tunix_rt.api.examples import EXAMPLES, TRACE
from tunix_rt.api.reference import JSON

FILLED = {
    "trace_id": "ab" * 32,
    "name": "tiny-sums",
    "evaluation_id": "ab" * 8,
    "run_id": "20261127-090000-0123456789ab",
    "sweep_id": "sweep_tiny-0123abcd",
    "scorer_digest": "ab" * 32,
    "bundle": "20261127-090000-0123456789ab",
    "file": "log.txt",
    "a": "ab" * 32,
    "b": "ab" * 32,
    "held_out": "tiny-sums-eval",
    "format": "alpaca",
    "text": "apples",
    "which": "1",
    "alias": "champion",
}
CLAIM = {"op": "multiply", "args": ["3", "4"], "result": "12"}
CLAIMING = TRACE | {"steps": [TRACE["steps"][0] | {"claims": [CLAIM]}]}
CONFIG = {"name": "n", "model": "tiny", "tuning": {"method": "lora", "quantize": "int8"}}
CURRICULUM = CONFIG | {
    "stages": [{"dataset": "tiny-sums"}],
    "validation": {"dataset": "tiny-sums-eval", "keep": "best"},
    "compute": {"dtype": "float32", "remat": "none"},
    "too_long": "refuse",
    "format": "numbered",
}
EVALUATE = {"evalset": "tiny-sums-eval", "evalset_digest": "ab" * 32}
SHARES = {"arithmetic": {"count": 1}}
PART = {"tasks": SHARES, "label": {"section": "s"}, "forms": "all", "review": "find"}
WRITTEN = {"file": "items.jsonl", "sha256": "ab" * 32, "folder": "data"}
RECIPE = {"name": "n", "version": 1, "seed": 1, "split": "train", "description": "d", "licence": "l", "forms": "all"}
GATE = {"run_id": FILLED["run_id"], "baseline": "main"}
BODIES: dict[str, list[Any]] = {  # one of each form a body may have, with every text in it
    "/api/traces": [TRACE],
    "/api/traces/batch": [{"traces": [TRACE]}],
    "/api/traces/check": [{"trace": CLAIMING, "reference": TRACE, "mode": "free"}],
    "/api/datasets": [
        {"recipe": "tiny-sums"},
        {"recipe": {**RECIPE, "tasks": SHARES}},
        {"recipe": {**RECIPE, "parts": {"p": PART}, "facets": ["category"]}},
        {"recipe": {**RECIPE, "written": WRITTEN}},
    ],
    "/api/evaluations": [{"model": "tiny", "evalset": "e", "device": "cpu"}, {"run_id": FILLED["run_id"], "evalset": "e"}],
    "/api/sweeps": [
        {"recipe": "sweep_tiny"},
        {"sweep": {"name": "n", "config": CONFIG, "dataset": "tiny-sums", "val": EVALUATE, "test": EVALUATE, "device": "cpu",
                   "objective": {"metric": "strict", "direction": "higher_is_better"}, "sampler": {"kind": "tpe"},
                   "pruner": {"kind": "median"}, "budget": {"trials": 2}, "dataset_digest": "ab" * 32,
                   "space": {"tuning.method": {"kind": "choice", "values": ["lora", ["q"]]}}}},
    ],
    "/api/evaluations/{evaluation_id}/rescores": [
        {"name": "numeric", "units": "same", "percent": "same"},
        {"name": "regex", "pattern": "p"},
    ],
    "/api/baselines": [
        {"name": "n", "evaluation_id": "ab" * 8, "dataset": "d", "metric": "strict", "direction": "higher_is_better"}
    ],
    "/api/gate": [{"candidate": "ab" * 8, "baseline": "n", "metric": "strict"}],
    "/api/evidence": [{"run_id": FILLED["run_id"]}],
    "/api/comparisons": [{"baseline": "ab" * 8, "candidate": "ab" * 8}],
    "/api/models/gate": [GATE | {"metric": "strict", "evaluation": "ab" * 8}],
    "/api/models/{name}/versions": [GATE | {"metric": "strict", "evaluation": "ab" * 8, "alias": "champion"}],
    "/api/models/{name}/forced": [{"run_id": FILLED["run_id"], "reason": "r", "alias": "champion"}],
    "/api/models/{name}/aliases/{alias}": [{"version": "1", "reason": "r"}],
    "/api/models/{name}/aliases/{alias}/rollback": [{"reason": "r"}],
    "/api/runs": [
        {"spec": {"kind": "train", "config": CONFIG, "dataset": "tiny-sums", "dataset_digest": "ab" * 32,
                  "model_digest": "ab" * 32, "device": "cpu", "evaluate": EVALUATE}, "dedup_key": "k"},
        {"spec": {"kind": "train", "config": CURRICULUM, "dataset": "tiny-sums", "stage_digests": ["ab" * 32],
                  "validation_digest": "ab" * 32, "group": "g"}},
        {"spec": {"kind": "eval", "model": "tiny", "evalset": "e", "run_id": "r", "adapter_digest": "ab" * 32, "tuned_by": "n",
                  "instruction": "i"}},
        {"spec": {"kind": "probe", "how": "done"}},
    ],
}  # fmt: skip


class Place(NamedTuple):
    """Where a text can be put: `name` is a parameter, or the way to a text in body number `name[0]`."""

    method: str
    path: str
    where: str
    name: Any


def places() -> Iterator[Place]:
    """Every parameter and every part of a body that is text, as the app's own document has them."""
    for path, method, operation in reference.operations(api.document()):
        for one in operation.get("parameters", []):
            if "string" in str(one["schema"]):
                yield Place(method.upper(), path, one["in"], one["name"])
        if JSON in operation.get("requestBody", {}).get("content", {}):
            for nth, body in enumerate(BODIES[path]):
                yield from (Place(method.upper(), path, "body", (nth, *way)) for way in texts(body))


def texts(found: Any) -> Iterator[tuple[Any, ...]]:
    entries = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in entries:
        yield from (
            (key,) if isinstance(value, str) else (key, *rest) for rest in ([()] if isinstance(value, str) else texts(value))
        )


def put(place: Place, payload: str) -> tuple[str, str, bytes, bytes]:
    """The request that has the payload there: method, path, query, body."""
    _, _, operation = next(one for one in reference.operations(api.document()) if one[:2] == (place.path, place.method.lower()))
    given = {one["name"]: FILLED[one["name"]] for one in operation.get("parameters", []) if one.get("required")}
    body = copy.deepcopy(BODIES.get(place.path, [None])[place.name[0] if place.where == "body" else 0])
    if place.where == "body":
        into = body
        for key in place.name[1:-1]:
            into = into[key]
        into[place.name[-1]] = payload
    else:
        given[place.name] = payload
    path, inside = place.path, {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
    for name in inside:
        path = path.replace(f"{{{name}}}", unquote(given[name]))
    query = urlencode({name: value for name, value in given.items() if name not in inside})
    sent = b"{}" if place.path.endswith("/ingest") else b"" if body is None else json.dumps(body).encode()
    return place.method, path, query.encode(), sent


def payloads(canary: Path) -> list[str]:
    name = canary.name
    ups = [
        f"{up * depth}{name}"
        for depth in range(1, 9)
        for up in ("../", "..\\", "%2e%2e/", "..%2f", "....//", "..;/", "%252e%252e%252f", "..%c0%af")
    ]
    absolute = [
        f"{before}{canary}{after}"
        for before in ("", "file://", "/", "//", "\\\\?\\")
        for after in ("", "%00", "%00.jsonl", "/.", "?")
    ]
    folders = [
        f"{folder}/{up}{name}"
        for folder in ("tiny-sums", "datasets", ".", "runs", "evals", "~")
        for up in ("../", "../../", "../../../", "./", "%2e%2e%2f")
    ]
    odd = [
        "..",
        ".",
        "...",
        "~",
        "/",
        "\\",
        "%00",
        "C:\\",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        "token",
        "../token",
        "..%2ftoken",
    ]
    sized = ["../" * 60 + name, "a/" * 100 + name, "%2e" * 80, "." * 255, "\u2025/" + name, "\uff0e\uff0e/" + name]
    lines = [
        f"{name}\n",
        f"../{name}\r\n",
        f"..%0a/{name}",
        f"$(cat {name})",
        f"`cat {name}`",
        f"| cat {name}",
        f"; cat {name}",
    ]
    wrapped = [
        f"{before}../{name}"
        for before in ("a", "-", "_", "x.jsonl/", "%20", "\t", "$HOME/", "${HOME}/", "{0.__class__}", "%s", "'", '"', "<", "@")
    ]
    more = [f"{'../' * depth}home/{inner}" for depth in range(1, 13) for inner in ("token", "audit.jsonl", "tunix-rt.db", name)]
    return [*ups, *absolute, *folders, *odd, *sized, *lines, *wrapped, *more]


@pytest.mark.parametrize("share", [2, pytest.param(1, marks=pytest.mark.long)])
def test_no_text_leads_to_a_file(app: FastAPI, watch: Callable[[Path], list[str]], share: int) -> None:
    """Every place meets one payload in `share`, its neighbour the others; the long test sends all of them everywhere."""
    settings = app.state.service.settings
    canary = settings.home.parent / "canary-file.jsonl"
    canary.write_text(json.dumps(TRACE | {"prompt": "a sleeping canary"}) + "\n")
    for recipe in ("tiny-sums", "tiny-sums-eval"):
        assert owner(app).post("/api/datasets", json={"recipe": recipe}).status_code == 201
    touched, sent, everywhere = watch(canary), payloads(canary), list(places())
    assert len(set(sent)) >= 200
    token = access.read_owner_token(settings)
    for nth, place in enumerate(everywhere):
        mine = sent[nth % share :: share]
        for payload, (status, body) in zip(mine, asked(app, token, [put(place, each) for each in mine]), strict=True):
            assert status != 500, (place, payload, body)
            assert b"sleeping canary" not in body, (place, payload)
            assert token.encode() not in body, (place, payload)
    assert touched == []
    canary.read_text()
    assert touched != []  # the watch does see it when it is read


def test_every_text_that_can_be_sent_is_tried() -> None:
    found = list(places())
    assert {(place.method, place.path) for place in found} >= {
        key for key, example in EXAMPLES.items() if "parameters" in example
    }
    fields = {part for place in found if place.where == "body" for part in place.name if isinstance(part, str)}
    written = {name for name in fields_of_texts() if name not in fields}
    assert written == set(), "a body has a text that no request here puts a payload into"


def fields_of_texts() -> set[str]:
    """The names of all texts in the schemas of bodies."""
    schemas, found = api.document()["components"]["schemas"], set[str]()

    def walk(schema: Any, seen: tuple[str, ...]) -> None:
        if isinstance(schema, list):
            for each in schema:
                walk(each, seen)
        elif isinstance(schema, dict):
            name = str(schema.get("$ref", "")).rsplit("/", 1)[-1]
            if name and name not in seen:
                walk(schemas[name], (*seen, name))
            for field, inner in schema.get("properties", {}).items():
                if inner.get("type") == "string" or any(one.get("type") == "string" for one in inner.get("anyOf", [])):
                    found.add(field)
            for inner in schema.values():
                walk(inner, seen)

    for _, _, operation in reference.operations(api.document()):
        walk(operation.get("requestBody", {}), ())
    return found


def test_every_schema_has_a_name_of_its_own() -> None:
    """FastAPI puts the module's path before one that two share, and moving the module would rename it."""
    assert [name for name in api.document()["components"]["schemas"] if "__" in name] == []
