"""The life of a run: its states, the allowed moves between them, and the one reason that each end has."""

from typing import Literal

State = Literal["queued", "running", "cancelling", "completed", "failed", "timed_out", "cancelled", "lost", "preempted"]

MOVES: dict[State, frozenset[State]] = {
    "queued": frozenset({"running", "cancelled"}),
    "running": frozenset({"cancelling", "completed", "failed", "timed_out", "lost", "preempted", "queued"}),
    "cancelling": frozenset({"cancelled", "completed"}),
    "completed": frozenset(),
    "failed": frozenset({"queued"}),
    "timed_out": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
    "lost": frozenset({"queued"}),
    "preempted": frozenset({"queued"}),
}
LEASED: tuple[State, ...] = ("running", "cancelling")
ENDED: tuple[State, ...] = ("completed", "failed", "timed_out", "cancelled", "lost", "preempted")
RESUMABLE = frozenset(state for state in ENDED if "queued" in MOVES[state])

Reason = Literal[
    "done",  # completed: all that was asked
    "smoke",  # completed: cut short by `max_steps`, as asked
    "early_stop",  # completed: the loss on the held-out dataset had not fallen for as long as `patience` allows
    "dry_run",  # completed: everything was validated, nothing launched
    "cancelled",
    "timeout",
    "lost",  # the process and its shim died without a word, more often than `max_attempts` allows
    "unplaced",  # the cluster found no place for it in time, or could not start it
    "sigint",  # the four signals somebody else sent to the process
    "sigterm",
    "sighup",
    "sigkill",
    "out_of_memory",
    "disk_full",
    "nan_loss",
    "exception",  # the process said what went wrong
    "unexplained",  # it ended with an exit code and no word
    "invalid",  # the run's own words cannot be used: configuration, names, content
    "missing",  # something it needs is not on this machine
    "tampered",  # a file is not what its manifest promises
]
