"""2  Recipe, or a file that people have -> exact trace list + splits + manifest.

Invariants: counts are what the recipe says, prompts are distinct, every claim has been checked, train and eval recipes draw
from disjoint parts of the space of prompts, and the same recipe gives the same bytes on every machine.
"""

from tunix_rt.datasets.derivations import Pool, derive, derive_again, foresee, pool, stored_pool
from tunix_rt.datasets.duplicates import Duplicates, Repeats, duplicates
from tunix_rt.datasets.examination import PERCENTILES, Examination, examine
from tunix_rt.datasets.exports import Exported, export
from tunix_rt.datasets.figures import Composition, Figures, Tally, skeleton, tally
from tunix_rt.datasets.folders import (
    Dataset,
    Difference,
    about,
    build,
    check,
    find,
    manifest,
    open_dataset,
    other_packages,
    stats,
)
from tunix_rt.datasets.generation import canonical_prompt, explain, generate, side, stream
from tunix_rt.datasets.ingest import Ingested, Refused, ingest
from tunix_rt.datasets.leakage import Changes, ItemOverlap, Leakage, Overlap, Overlaps, difference, leakage, overlaps
from tunix_rt.datasets.manifests import Manifest, Parent, Source
from tunix_rt.datasets.proofs import Proof, prove
from tunix_rt.datasets.recipes import Cell, Part, Plan, Recipe, Share, Written, builtin_recipes, load, plan, recipe, recipe_text
from tunix_rt.datasets.reviews import problem
from tunix_rt.datasets.selections import Apart, DedupKey, Range, Select, Selection, conditions, is_selection, load_selection
from tunix_rt.datasets.staging import STORED

__all__ = [
    "PERCENTILES", "STORED", "Apart", "Cell", "Changes", "Composition", "Dataset", "DedupKey", "Difference", "Duplicates",
    "Examination", "Exported", "Figures", "Ingested", "ItemOverlap", "Leakage", "Manifest", "Overlap", "Overlaps", "Parent",
    "Part", "Plan", "Pool", "Proof", "Range", "Recipe", "Refused", "Repeats", "Select", "Selection", "Share", "Source",
    "Tally", "Written", "about", "build", "builtin_recipes", "canonical_prompt", "check", "conditions", "derive",
    "derive_again", "difference", "duplicates", "examine", "explain", "export", "find", "foresee", "generate", "ingest",
    "is_selection", "leakage", "load", "load_selection", "manifest", "open_dataset", "other_packages", "overlaps", "plan",
    "pool", "problem", "prove", "recipe", "recipe_text", "side", "skeleton", "stats", "stored_pool", "stream", "tally",
]  # fmt: skip
