"""3f The ledger: what was asked, who works on it, how it ended. A run is a process of hours, not a function call.

A run is claimed under a lease, every later write carries the fence (owner, attempt, state), and each end has one reason.
The ledger starts nothing itself: a worker acts on it through a launcher.
"""

from tunix_rt.runs.eventlog import events, ingest
from tunix_rt.runs.figures import Figure, figures
from tunix_rt.runs.leases import (
    Outcome,
    beat,
    claim,
    finish,
    mine,
    register,
    registered,
    renew,
    requeue,
    retire,
    waiting,
    workers,
)
from tunix_rt.runs.ledger import (
    Attempt,
    Page,
    Run,
    attempts,
    cancel,
    counts,
    delete,
    get,
    listed,
    resume,
    submit,
)
from tunix_rt.runs.pruning import Spare, remove, spare
from tunix_rt.runs.specs import EvalSpec, Evaluate, ProbeSpec, Spec, TrainSpec, parse, resolve
from tunix_rt.runs.states import ENDED, LEASED, MOVES, RESUMABLE, Reason, State
from tunix_rt.runs.trained import Posed, Trained, find, load, new_id, posed

__all__ = [
    "ENDED",
    "LEASED",
    "MOVES",
    "RESUMABLE",
    "Attempt",
    "EvalSpec",
    "Evaluate",
    "Figure",
    "Outcome",
    "Page",
    "Posed",
    "ProbeSpec",
    "Reason",
    "Run",
    "Spare",
    "Spec",
    "State",
    "TrainSpec",
    "Trained",
    "attempts",
    "beat",
    "cancel",
    "claim",
    "counts",
    "delete",
    "events",
    "figures",
    "find",
    "finish",
    "get",
    "ingest",
    "listed",
    "load",
    "mine",
    "new_id",
    "parse",
    "posed",
    "register",
    "registered",
    "remove",
    "renew",
    "requeue",
    "resolve",
    "resume",
    "retire",
    "spare",
    "submit",
    "waiting",
    "workers",
]
