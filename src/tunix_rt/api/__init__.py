"""The service: JSON over HTTP, grouped by stage. A handler parses, calls one stage and returns; `guard` stands before them all.

`make` is the app, `serving` runs it; `policy` is the one table that decides who may call what.
"""

from tunix_rt.api.app import Pages, document, make
from tunix_rt.api.service import PORT, Bound

__all__ = ["PORT", "Bound", "Pages", "document", "make"]
