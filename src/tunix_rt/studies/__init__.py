"""5c Studies: several training recipes, several seeds each, the same questions to all, under a plan that is locked first.

`plans` is the study as a value, the lock on it, and what each of its runs left; `analysis` makes its tables of that.
"""

from tunix_rt.studies.analysis import Contrast, Findings, Measure, analyse
from tunix_rt.studies.plans import (
    BASE,
    Arm,
    Cell,
    Plan,
    Question,
    Study,
    asked,
    cell,
    cells,
    dedup_key,
    folder,
    keep,
    load,
    lock,
    missing,
)

__all__ = [
    "BASE", "Arm", "Cell", "Contrast", "Findings", "Measure", "Plan", "Question", "Study", "analyse", "asked", "cell", "cells",
    "dedup_key", "folder", "keep", "load", "lock", "missing",
]  # fmt: skip
