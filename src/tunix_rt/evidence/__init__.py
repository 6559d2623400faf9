"""7  Evidence: one deterministic zip that holds a run with all that its claims rest on, and its verification.

`standalone` defines the form of a bundle and travels inside every bundle as `verify.py`; the rest of this package reads what
a bundle says and computes it again.
"""

from tunix_rt.evidence.contents import Facts, FileEntry, Manifest
from tunix_rt.evidence.packing import ADAPTER_LIMIT, Gathered, gather_run, pack, pack_compared, pack_run
from tunix_rt.evidence.prose import evaluation as evaluation_text
from tunix_rt.evidence.reinfer import Sample
from tunix_rt.evidence.signing import new_key
from tunix_rt.evidence.verifying import DEEPEST, Report, verify

__all__ = [
    "ADAPTER_LIMIT", "DEEPEST", "Facts", "FileEntry", "Gathered", "Manifest", "Report", "Sample", "evaluation_text",
    "gather_run", "new_key", "pack", "pack_compared", "pack_run", "verify",
]  # fmt: skip
