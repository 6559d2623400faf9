"""6b The registry: names for what runs made, as immutable versions with a way back to their data.

A version is promoted through a gate, or by force and with a reason; aliases such as `champion` say which one is in use. The
weights lie in the artifact store, which keeps them whatever becomes of the run.
"""

from tunix_rt.registry.aliases import move, roll_back
from tunix_rt.registry.entries import (
    ALIAS,
    CHAMPION,
    NAME,
    Action,
    Admission,
    Content,
    Entry,
    Happening,
    Model,
    Standing,
    every,
    get,
    history,
    is_known,
    listed,
    of_run,
    versions,
)
from tunix_rt.registry.promotions import Criterion, admit, choices, decide, keep, read_gate, record
from tunix_rt.registry.weights import Link, Problem, State, as_run, download, problems, sizes, walk

__all__ = [
    "ALIAS", "CHAMPION", "NAME", "Action", "Admission", "Content", "Criterion", "Entry", "Happening", "Link", "Model",
    "Problem", "Standing", "State", "admit", "as_run", "choices", "decide", "download", "every", "get", "history", "is_known",
    "keep", "listed", "move", "of_run", "problems", "read_gate", "record", "roll_back", "sizes", "versions", "walk",
]  # fmt: skip
