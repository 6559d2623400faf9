"""The one table that decides: who may call which route, and how much they may send. A route that is not in it cannot be served.

Public are the two health checks, the swap of a one-time code for a cookie, and static files; all else needs a token or cookie.
"""

from typing import Literal, NamedTuple

from tunix_rt.access import Role

KB, MB = 1_000, 1_000_000
Need = Role | Literal["public"]


class Rule(NamedTuple):
    """`body` is the most bytes a request may carry; a `streamed` body is counted as it passes, others are read first."""

    need: Need
    body: int = 0
    streamed: bool = False


POLICY: dict[tuple[str, str], Rule] = {
    ("GET", "/healthz"): Rule("public"),
    ("GET", "/readyz"): Rule("public"),
    ("GET", "/login"): Rule("public"),
    ("GET", "/static"): Rule("public"),
    ("GET", "/metrics"): Rule("viewer"),
    ("GET", "/api"): Rule("viewer"),
    ("GET", "/api/reference.css"): Rule("viewer"),
    ("GET", "/api/reference.svg"): Rule("viewer"),
    ("GET", "/api/openapi.json"): Rule("viewer"),
    ("POST", "/api/login-codes"): Rule("viewer", 1 * KB),
    ("GET", "/api/whoami"): Rule("viewer"),
    ("GET", "/api/traces"): Rule("viewer"),
    ("POST", "/api/traces"): Rule("editor", 4 * MB),
    ("POST", "/api/traces/batch"): Rule("editor", 32 * MB),
    ("GET", "/api/traces/search"): Rule("viewer"),
    ("GET", "/api/traces/compare"): Rule("viewer"),
    ("POST", "/api/traces/check"): Rule("viewer", 8 * MB),
    ("GET", "/api/traces/{trace_id}"): Rule("viewer"),
    ("GET", "/api/traces/{trace_id}/check"): Rule("viewer"),
    ("GET", "/api/datasets"): Rule("viewer"),
    ("POST", "/api/datasets"): Rule("editor", 256 * KB),
    ("POST", "/api/datasets/ingest"): Rule("editor", 2_000 * MB, streamed=True),
    ("GET", "/api/datasets/{name}"): Rule("viewer"),
    ("GET", "/api/datasets/{name}/items"): Rule("viewer"),
    ("GET", "/api/datasets/{name}/stats"): Rule("viewer"),
    ("GET", "/api/datasets/{name}/leak"): Rule("viewer"),
    ("GET", "/api/datasets/{name}/export"): Rule("viewer"),
    ("GET", "/api/evaluations"): Rule("viewer"),
    ("POST", "/api/evaluations"): Rule("runner", 64 * KB),
    ("GET", "/api/evaluations/{evaluation_id}"): Rule("viewer"),
    ("GET", "/api/evaluations/{evaluation_id}/predictions"): Rule("viewer"),
    ("GET", "/api/evaluations/{evaluation_id}/scores"): Rule("viewer"),
    ("GET", "/api/evaluations/{evaluation_id}/rescores"): Rule("viewer"),
    ("POST", "/api/evaluations/{evaluation_id}/rescores"): Rule("runner", 16 * KB),
    ("GET", "/api/evaluations/{evaluation_id}/rescores/{scorer_digest}/scores"): Rule("viewer"),
    ("POST", "/api/comparisons"): Rule("viewer", 4 * KB),
    ("GET", "/api/models"): Rule("viewer"),
    ("POST", "/api/models/gate"): Rule("viewer", 4 * KB),
    ("GET", "/api/models/{name}/versions"): Rule("viewer"),
    ("POST", "/api/models/{name}/versions"): Rule("runner", 4 * KB),
    ("POST", "/api/models/{name}/forced"): Rule("admin", 8 * KB),
    ("GET", "/api/models/{name}/versions/{which}"): Rule("viewer"),
    ("GET", "/api/models/{name}/versions/{which}/check"): Rule("viewer"),
    ("GET", "/api/models/{name}/versions/{which}/files/{file}"): Rule("viewer"),
    ("POST", "/api/models/{name}/aliases/{alias}"): Rule("runner", 8 * KB),
    ("POST", "/api/models/{name}/aliases/{alias}/rollback"): Rule("runner", 8 * KB),
    ("GET", "/api/sweeps"): Rule("viewer"),
    ("POST", "/api/sweeps"): Rule("runner", 256 * KB),
    ("GET", "/api/sweeps/{sweep_id}"): Rule("viewer"),
    ("POST", "/api/sweeps/{sweep_id}/stop"): Rule("runner", 1 * KB),
    ("GET", "/api/baselines"): Rule("viewer"),
    ("POST", "/api/baselines"): Rule("runner", 4 * KB),
    ("POST", "/api/gate"): Rule("viewer", 4 * KB),
    ("GET", "/api/evidence"): Rule("viewer"),
    ("POST", "/api/evidence"): Rule("editor", 1 * KB),
    ("GET", "/api/evidence/{bundle}"): Rule("viewer"),
    ("GET", "/api/evidence/{bundle}/verify"): Rule("viewer"),
    ("GET", "/api/evidence/{bundle}/download"): Rule("viewer"),
    ("GET", "/api/runs"): Rule("viewer"),
    ("POST", "/api/runs"): Rule("runner", 256 * KB),
    ("GET", "/api/runs/{run_id}"): Rule("viewer"),
    ("GET", "/api/runs/{run_id}/log"): Rule("viewer"),
    ("GET", "/api/runs/{run_id}/metrics"): Rule("viewer"),
    ("GET", "/api/runs/{run_id}/events"): Rule("viewer"),
    ("GET", "/api/runs/{run_id}/tail"): Rule("viewer"),
    ("GET", "/api/runs/{run_id}/artifacts"): Rule("viewer"),
    ("GET", "/api/runs/{run_id}/artifacts/{file}"): Rule("viewer"),
    ("POST", "/api/runs/{run_id}/cancel"): Rule("runner", 1 * KB),
    ("POST", "/api/runs/{run_id}/resume"): Rule("runner", 1 * KB),
}
