"""5b  Is it better, on the same items: pairs, whole tables of them, baselines by name, and a gate that decides.

`pairs` compares two evaluations; every other module asks it and adds no arithmetic of its own.
"""

from tunix_rt.comparisons.baselines import Baseline
from tunix_rt.comparisons.boards import Board, Entry, Filters, leaderboard
from tunix_rt.comparisons.flips import Flip, diverging, flips
from tunix_rt.comparisons.gates import Decision, Gate, judge, page
from tunix_rt.comparisons.locks import Lock
from tunix_rt.comparisons.metrics import METRICS, Direction, Scores, scores
from tunix_rt.comparisons.pairs import (
    CHANGES,
    Block,
    Change,
    Comparison,
    Evaluation,
    EvaluationSummary,
    Example,
    Limits,
    change_of,
    checked,
    compare,
    examples,
    limits_of,
    load,
    pairs_of,
)
from tunix_rt.comparisons.tables import OverSeeds, Row, over_seeds, table

__all__ = [
    "CHANGES", "METRICS", "Baseline", "Block", "Board", "Change", "Comparison", "Decision", "Direction", "Entry", "Evaluation",
    "EvaluationSummary", "Example", "Filters", "Flip", "Gate", "Limits", "Lock", "OverSeeds", "Row", "Scores", "change_of",
    "checked", "compare", "diverging", "examples", "flips", "judge", "leaderboard", "limits_of", "load", "over_seeds", "page",
    "pairs_of", "scores", "table",
]  # fmt: skip
