"""3a  Intervals, paired tests, resampling, families of tests, several attempts and several seeds: pure numbers.

`estimates` holds what one comparison needs, the other modules what several comparisons, attempts or runs need on top.
"""

from tunix_rt.statistics.agreement import Agreement, agreement
from tunix_rt.statistics.attempts import maj_at_k, mean_at_k, pass_at_k
from tunix_rt.statistics.estimates import (
    ALPHA,
    POWER,
    Equivalence,
    Estimate,
    Interval,
    Paired,
    Verdict,
    clustered_standard_error,
    differences,
    equivalence,
    mcnemar,
    mean,
    minimum_detectable_effect,
    one_sided_bounds,
    p_value,
    paired,
    wilson,
)
from tunix_rt.statistics.families import holm
from tunix_rt.statistics.resampling import cluster_bootstrap
from tunix_rt.statistics.seeds import AcrossSeeds, Tested, across_seeds, differences_across_seeds, item_means, tested

__all__ = [
    "ALPHA", "POWER", "AcrossSeeds", "Agreement", "Equivalence", "Estimate", "Interval", "Paired", "Tested", "Verdict",
    "across_seeds", "agreement", "cluster_bootstrap", "clustered_standard_error", "differences", "differences_across_seeds",
    "equivalence", "holm", "item_means", "maj_at_k", "mcnemar", "mean", "mean_at_k", "minimum_detectable_effect",
    "one_sided_bounds", "p_value", "paired", "pass_at_k", "tested", "wilson",
]  # fmt: skip
