"""2  Recipe, or a file that people have -> exact trace list + splits + manifest.

Invariants: counts are what the recipe says, prompts are distinct, every claim has been checked, train and eval recipes draw
from disjoint parts of the space of prompts, and the same recipe gives the same bytes on every machine.
"""

from tunix_rt.datasets.exports import Exported, export
from tunix_rt.datasets.figures import Composition, Figures, Tally, skeleton, tally
from tunix_rt.datasets.folders import Dataset, Difference, Manifest, Source, build, check, find, manifest, open_dataset, stats
from tunix_rt.datasets.generation import canonical_prompt, explain, generate, side, stream
from tunix_rt.datasets.ingest import Ingested, Refused, ingest
from tunix_rt.datasets.leakage import Changes, Leakage, difference, leakage
from tunix_rt.datasets.recipes import Cell, Plan, Recipe, Share, builtin_recipes, load, plan, recipe

__all__ = [
    "Cell", "Changes", "Composition", "Dataset", "Difference", "Exported", "Figures", "Ingested", "Leakage",
    "Manifest", "Plan", "Recipe", "Refused", "Share", "Source", "Tally", "build", "builtin_recipes",
    "canonical_prompt", "check", "difference", "explain", "export", "find", "generate", "ingest", "leakage", "load", "manifest",
    "open_dataset", "plan", "recipe", "side", "skeleton", "stats", "stream", "tally",
]  # fmt: skip
