"""Examples of the reference: what a request sends and what comes back. A test sends every one of them."""

from typing import Any

TRACE: dict[str, Any] = {
    "trace_version": "1.0",
    "prompt": "What is 3 * 4 + 5?",
    "steps": [
        {"i": 1, "type": "compute", "content": "3 * 4 = 12"},
        {"i": 2, "type": "compute", "content": "12 + 5 = 17"},
    ],
    "final_answer": "17",
    "meta": {"author": "Ada"},
}
_ID = "6a" * 32
_WHEN = "2026-11-27T09:00:00+00:00"
_STORED = {"id": _ID, "source": "api", "created": _WHEN, "trace": TRACE}
_RUN_ID = "20261127-090000-0123456789ab"
_RUN: dict[str, Any] = {
    "run_id": _RUN_ID,
    "kind": "probe",
    "state": "queued",
    "reason": None,
    "message": None,
    "priority": 0,
    "spec": {"kind": "probe", "how": "done", "seconds": 1.0},
    "dedup_key": None,
    "parent": None,
    "timeout": 60.0,
    "max_attempts": 3,
    "dry_run": False,
    "attempt": 0,
    "launcher": None,
    "host": None,
    "cancel_requested": None,
    "created": _WHEN,
    "started": None,
    "ended": None,
    "result": None,
}
_RESCORED = {
    "evaluation_id": "0123456789abcdef",
    "scorer": "numeric",
    "scorer_digest": _ID,
    "n": 200,
    "skipped": 12,
    "refused": 0,
    "correct": 150,
    "wrong": 40,
    "unparseable": 10,
    "truncated": 0,
    "accuracy": 0.75,
    "ci95": [0.69, 0.81],
    "groups": 40,
    "ci95_clustered": [0.67, 0.82],
    "measures": {},
}
_CHECKED = {
    "line": 1,
    "id": _ID,
    "first_wrong": None,
    "coverage": 1.0,
    "steps": [
        {"i": 1, "verdict": "ok", "kind": None, "expected": None, "got": None, "span": None},
        {"i": 2, "verdict": "ok", "kind": None, "expected": None, "got": None, "span": None},
    ],
    "answer": {"verdict": "ok", "kind": None, "expected": None, "got": None},
}
_VERSION: dict[str, Any] = {
    "name": "tiny-sums",
    "version": 2,
    "digest": _ID,
    "aliases": ["champion"],
    "created": _WHEN,
    "who": "owner",
    "standing": "passed",
    "reason": None,
    "decision": "pass",
    "run_id": _RUN_ID,
    "method": "lora",
    "model": "tiny",
    "model_digest": _ID,
    "dataset": "tiny-sums",
    "dataset_digest": _ID,
    "config_digest": _ID,
    "adapter_digest": _ID,
    "bytes": 27_440,
}
_GATE = {"run_id": _RUN_ID, "baseline": "main", "margin": 0.05}
_MODEL = {"name": "tiny-sums", "created": _WHEN, "versions": 2, "newest": 2, "aliases": {"champion": 2}}

EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/traces"): {"body": TRACE, "answer": _STORED},
    ("POST", "/api/traces/batch"): {"body": {"traces": [TRACE]}, "answer": {"added": 1, "duplicates": 0}},
    ("GET", "/api/traces"): {"parameters": {"limit": 20}, "answer": {"data": [_STORED], "next": "4711"}},
    ("GET", "/api/traces/search"): {"parameters": {"text": '"3 * 4" 17'}, "answer": {"data": [_STORED], "next": None}},
    ("GET", "/api/traces/{trace_id}"): {"answer": _STORED},
    ("GET", "/api/traces/{trace_id}/check"): {"answer": _CHECKED},
    ("POST", "/api/traces/check"): {"body": {"trace": TRACE, "mode": "free"}, "answer": _CHECKED},
    ("POST", "/api/datasets"): {"body": {"recipe": "tiny-sums"}},
    ("POST", "/api/datasets/ingest"): {
        "parameters": {"file": "sums.jsonl", "name": "sums"},
        "body": '{"prompt": "2 + 2?", "steps": [{"i": 1, "type": "compute", "content": "2 + 2 = 4"}], "final_answer": "4"}',
        "answer": {
            "name": "sums",
            "digest": _ID,
            "count": 1,
            "added": 1,
            "duplicates": 0,
            "rejected": [],
            "rejected_count": 0,
            "by_code": {},
            "format": "trace",
            "without_reasoning": 0,
        },
    },
    ("GET", "/api/datasets/{name}/leak"): {"parameters": {"name": "tiny-sums", "held_out": "tiny-sums-eval"}},
    ("GET", "/api/models"): {"answer": {"data": [_MODEL], "next": None}},
    ("POST", "/api/models/gate"): {"body": _GATE},
    ("GET", "/api/models/{name}/versions"): {"answer": {"data": [_VERSION], "next": None}},
    ("POST", "/api/models/{name}/versions"): {"body": _GATE | {"alias": "champion"}, "answer": _VERSION},
    ("POST", "/api/models/{name}/forced"): {
        "body": {"run_id": _RUN_ID, "reason": "shown at the fair"},
        "answer": _VERSION | {"standing": "forced", "decision": None, "reason": "shown at the fair"},
    },
    ("GET", "/api/models/{name}/versions/{which}/check"): {"answer": {"ok": True, "problems": []}},
    ("POST", "/api/models/{name}/aliases/{alias}"): {"body": {"version": "1"}, "answer": _VERSION | {"version": 1}},
    ("POST", "/api/models/{name}/aliases/{alias}/rollback"): {"body": {"reason": "the new one is slow"}, "answer": _VERSION},
    ("POST", "/api/runs"): {"body": {"spec": {"kind": "probe", "seconds": 1.0}, "timeout": 60.0}, "answer": _RUN},
    ("GET", "/api/runs/{run_id}"): {"answer": _RUN},
    ("GET", "/api/runs/{run_id}/log"): {"answer": {"data": "step 1 loss 2.31\n", "next": 17}},
    ("POST", "/api/evaluations"): {"body": {"model": "tiny", "evalset": "tiny-sums-eval", "limit": 10}},
    ("POST", "/api/sweeps"): {"body": {"recipe": "sweep_tiny"}},
    ("POST", "/api/evaluations/{evaluation_id}/rescores"): {"body": {"name": "numeric", "relative": 0.01}, "answer": _RESCORED},
    ("POST", "/api/comparisons"): {"body": {"baseline": "0123456789abcdef", "candidate": "fedcba9876543210", "margin": 0.05}},
    ("POST", "/api/baselines"): {"body": {"name": "release", "evaluation_id": "0123456789abcdef", "metric": "strict"}},
    ("POST", "/api/gate"): {"body": {"candidate": "fedcba9876543210", "baseline": "release", "margin": 0.05}},
    ("POST", "/api/evidence"): {"body": {"run_id": _RUN_ID}},
    ("GET", "/healthz"): {"answer": {"status": "ok"}},
    ("GET", "/api/whoami"): {"answer": {"name": "owner", "role": "admin"}},
}
