"""7b  A finished run as others take it: one small zip for Kaggle with its notebook, a folder for the Hub, a store for MLflow;
and what a session of so many hours has time for.

Everything is written from what the run left; nothing is uploaded, and what is missing is an error that names it.
"""

from tunix_rt.submission.kaggle import ACCELERATORS, Accelerator, Place
from tunix_rt.submission.notebooks import Data, Subject, notebook
from tunix_rt.submission.packing import LIMIT, Packed, pack
from tunix_rt.submission.planning import Measured, Plan, plan
from tunix_rt.submission.tracking import Tracked, track

__all__ = [
    "ACCELERATORS", "LIMIT", "Accelerator", "Data", "Measured", "Packed", "Place", "Plan", "Subject", "Tracked",
    "notebook", "pack", "plan", "track",
]  # fmt: skip
