"""The OpenAPI document against the app: every check of Schemathesis, for what fits the schemas and for what does not."""

import copy
import json
import os
import re
from collections.abc import Iterator
from typing import Any

import filled
import promoted
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.types import Receive, Scope, Send

from asking import owner
from tunix_rt import access, api, datasets
from tunix_rt.api import health, reference
from tunix_rt.api.examples import EXAMPLES, TRACE
from tunix_rt.comparisons import baselines
from tunix_rt.settings import Settings

COUNT = int(os.environ.get("TUNIX_RT_TEST_EXAMPLES", "5"))  # of each kind for each operation; 100 in the long tests
MEANING = {  # what a JSON Schema cannot say is acceptable
    "POST /api/datasets": "a recipe's amounts must add up, and its tasks must exist",
    "POST /api/datasets/ingest": "the body is a file, and what it holds must be traces",
    "GET /api/datasets/{name}/items": "a cursor is a place in the file that was given out",
    "GET /api/traces/search": "a text must hold a letter or digit of any script",
    "POST /api/sweeps": "a space must fit the config and itself, and the test set must be unseen",
    "POST /api/traces/check": "the anchored mode needs a reference",
    "POST /api/evaluations/{evaluation_id}/rescores": "a pattern must be one that RE2 reads, and a scorer apply to an item",
}
ELSEWHERE = ("/api/comparisons", "/api/baselines", "/api/gate", "/api/evidence")  # their examples name what is not here
served: list[FastAPI] = []
fitting: list[bool] = []
KNOWN = {"name": "tiny-sums", "file": "log.txt", "which": "1", "alias": "champion"}  # and a trace and a run that `token` makes


async def ask(scope: Scope, receive: Receive, send: Send) -> None:
    """The app of the module's workspace, which is made after the cases are collected."""
    if scope["type"] == "lifespan":  # Schemathesis ends it again and again, and with it the app would close its database
        for _ in ("startup", "shutdown"):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    await served[-1](scope, receive, send)


schema = schemathesis.openapi.from_dict(api.document())
schema.app = ask
OPERATIONS = [found.ok() for found in schema.get_all_operations()]


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of an app in whose workspace everything has happened once."""
    home = Settings(home=tmp_path_factory.mktemp("served"))
    made = filled.fill(home)
    KNOWN.update(evaluation_id=made["tuned"], bundle=made["run"])
    served.append(api.make(home, bound=api.Bound(hosts=("testserver", f"127.0.0.1:{api.PORT}"))))
    KNOWN["trace_id"] = owner(served[-1]).post("/api/traces", json=TRACE).json()["id"]
    KNOWN["sweep_id"] = owner(served[-1]).post("/api/sweeps", json={"recipe": "sweep_tiny"}).json()["sweep_id"]
    KNOWN["run_id"] = owner(served[-1]).post("/api/runs", json={"spec": {"kind": "probe"}}).json()["run_id"]
    _registered(home)
    yield access.owner_token(home)
    served[-1].state.service.store.close()


def _registered(home: Settings) -> None:
    """Two versions of the model `tiny-sums`: of a damaged run, and of the run that the examples name."""
    promoted.fill(home.home)
    good = promoted.another(home.home, b"good", EXAMPLES["POST", "/api/models/gate"]["body"]["run_id"])
    place = promoted.opened(home)
    promoted.evaluated(home.home, datasets.find(home, "eval-wide"), lambda k: k % 7 == 0, good)
    baselines.put(home, "main", place.base, dataset=None, metric="strict", better=None)
    promoted.in_ledger(place.store, good)
    for run in (place.damaged, good):
        place.promote(run, "tiny-sums", alias="champion")
    place.store.close()


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:  # noqa: ARG001  # the hook's signature
    """Half the names that fit become names of something that is there: a random one never is."""
    if not fitting[-1] or not isinstance(path_parameters, dict):
        return path_parameters
    return {name: KNOWN.get(name, value) if len(str(value)) % 2 else value for name, value in path_parameters.items()}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:  # noqa: ARG001  # the hook's signature
    """JSON Schema cannot say that steps are numbered without gaps, that two lists are equally long, nor a few things of claims
    and meta: make it fit."""
    body = copy.deepcopy(body)  # it may hold the document's own examples
    if fitting[-1] and not isinstance(body, bytes):
        body = json.loads(json.dumps(body).replace("\\u0000", ""))  # no text of a body may hold NUL
    if fitting[-1] and isinstance(body, dict) and isinstance(body.get("spec"), dict):
        body["spec"].pop("stage_digests", None)  # one for each stage
    for trace in _traces(body) if fitting[-1] else ():
        for i, step in enumerate(trace["steps"], start=1):
            step["i"] = i
            step.pop("claims", None)
        trace.pop("meta", None)
    return body


def _traces(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        if isinstance(found.get("steps"), list):
            yield found
        for each in found.values():
            yield from _traces(each)
    elif isinstance(found, list):
        for each in found:
            yield from _traces(each)


@pytest.mark.parametrize("key", [key for key, example in EXAMPLES.items() if "body" in example], ids=" ".join)
def test_the_examples_can_be_sent(key: tuple[str, str], token: str) -> None:
    method, path = key
    example = EXAMPLES[key]
    sent = {"content": example["body"]} if isinstance(example["body"], str) else {"json": example["body"]}
    path = re.sub(r"{(\w+)}", lambda found: KNOWN[found[1]], path)
    answer = owner(served[-1]).request(method, path, params=example.get("parameters"), **sent)
    assert token
    assert answer.status_code < 300 or (path in ELSEWHERE and answer.status_code == 404), answer.text


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_does_what_the_document_says(operation: Any, mode: GenerationMode, token: str) -> None:
    against(operation, mode, token, COUNT)


def test_an_app_that_does_something_else_is_found(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control for the test above."""
    monkeypatch.setattr(health, "CODE_SECONDS", "a minute")
    (operation,) = (found for found in OPERATIONS if found.label == "POST /api/login-codes")
    with pytest.raises((FailureGroup, Failure)):
        against(operation, GenerationMode.POSITIVE, token, 1)


def against(operation: Any, mode: GenerationMode, token: str, count: int) -> None:
    """Ask one operation so often; raises for any answer that the document does not allow."""
    fitting.append(mode is GenerationMode.POSITIVE)
    left_out = [positive_data_acceptance] if operation.label in MEANING else []

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        assume(mode is GenerationMode.POSITIVE or not any(map(unseen, (case.query or {}).values())))
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=left_out)

    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
        return
    check()


def unseen(value: object) -> bool:
    """An object, or a list of one, arrives in an address as plain text, which may well be valid there."""
    return isinstance(value, dict) or (isinstance(value, list) and len(value) < 2)


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_does_so_a_hundred_times(operation: Any, mode: GenerationMode, token: str) -> None:
    against(operation, mode, token, 100)


def test_every_operation_has_a_summary_and_says_its_errors() -> None:
    for path, method, operation in reference.operations(api.document()):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert "500" in operation["responses"], (method, path)
