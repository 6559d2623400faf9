"""Every command, one file per noun. Commands parse, call stages and print; no rule lives here."""

from tunix_rt.cli import (
    check,
    curate,
    data,
    decide,
    demo,
    doctor,
    evals,
    evidence,
    look,
    masks,
    models,
    prove,
    registry,
    runs,
    scores,
    serve,
    store,
    study,
    submission,
    sweep,
    traces,
    train,
)
from tunix_rt.cli.app import app, main

__all__ = [
    "app", "check", "curate", "data", "decide", "demo", "doctor", "evals", "evidence", "look", "main", "masks", "models",
    "prove", "registry", "runs", "scores", "serve", "store", "study", "submission", "sweep", "traces", "train",
]  # fmt: skip
