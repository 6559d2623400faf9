"""6a The best of many: trials over a search space, chosen on `val`, the chosen one confirmed once on `test`.

A sweep is a value; its trials are runs of the ledger like any other. Whoever works on the queue also moves the sweeps on.
"""

from tunix_rt.sweeps.axes import Axis, axes, shown
from tunix_rt.sweeps.documents import document, ranked, summary, trial_document
from tunix_rt.sweeps.driving import advance
from tunix_rt.sweeps.ledger import MOVES, OPEN, Confirmed, Page, Standing, State, Trial, at_work, get, listed, start, stop
from tunix_rt.sweeps.sampling import most
from tunix_rt.sweeps.specs import Sweep, load, names, parse, resolve, shipped

__all__ = [
    "MOVES", "OPEN", "Axis", "Confirmed", "Page", "Standing", "State", "Sweep", "Trial", "advance", "at_work", "axes",
    "document", "get", "listed", "load", "most", "names", "parse", "ranked", "resolve", "shipped", "shown", "start", "stop",
    "summary", "trial_document",
]  # fmt: skip
