"""The workbench that makes a language model show its work and be right, and lets others check that it does.

One module a stage, in the order of the flow:

    errors        mistakes a person can fix, each with its exit code and HTTP status
    logs          logs as JSON lines, with the ids of runs and requests
    values        immutable values named by content; files that are complete or absent
    recipes       where the recipes that ship lie
    plugins       what other packages bring by entry points: tasks, scorers, import formats
    redaction     secrets and places that must not leave this machine in a text
    settings      the only reader of the environment
    migrations    the database's schema, revision by revision
    store         the database: SQLite in the workspace, or PostgreSQL
    access        1a  who may do what: the owner's token, named tokens with a role
    claims        1   the closed table of statements a machine can check
    traces        1   a trace: prompt, typed steps, answer
    formats       1b  other people's files as traces, and traces as theirs
    tasks         1c  seeded generators whose every claim is true by construction
    checking      1d  the step checker: a verdict for every step
    datasets      2   recipe -> exact traces, splits, manifest
    statistics    3a  intervals, paired tests, minimum detectable effect
    scoring       3b  how one answer is judged, strictly and leniently
    models        3c  base models as verified folders
    jobs          3d  what one engine process is asked to do
    estimates     3d  what a training step costs, before it is run
    engine        3e  the only code that imports JAX: packing, loss, training, generation
    runs          4   the ledger: what was asked, who works on it, how it ended
    launchers     4b  where an engine process runs: launch, poll, cancel, reap
    evals         5   predictions -> scores -> summary
    comparisons   5b  is it better, on the same items
    studies       5c  several recipes and seeds, one locked plan
    sweeps        6a  many runs over a search space: chosen on val, confirmed once on test
    registry      6b  names for what runs made: immutable versions, aliases, promotion through a gate
    evidence      7   a bundle that a stranger can verify
    submission    7b  a run as others take it: Kaggle, the Hub, MLflow; and what a session has time for
    reports       7c  a run told on one page
    worker        claim -> act through a launcher -> record
    api           the service: JSON over HTTP, safe by default
    web           pages for people, over the same stages
    workbench     the verbs of the command line and of notebooks, in the foreground
    cli           every command

In a notebook, `import tunix_rt as rt` and `rt.open()`: a workspace whose verbs do what the commands do.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tunix_rt.workbench import Workspace

__all__ = ["Workspace", "open"]


def open(home: "Path | str | None" = None, **options: Any) -> "Workspace":
    """The workspace at `home`, as `--home` names it: $TUNIX_RT_HOME or ~/.tunix-rt by default. See `Workspace`."""
    made: Workspace = __getattr__("Workspace")(home, **options)
    return made


def __getattr__(name: str) -> Any:
    # Most of what is imported as a part of this package, the engine first of all, must not bring the workbench along.
    if name == "Workspace":
        return importlib.import_module("tunix_rt.workbench").Workspace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
