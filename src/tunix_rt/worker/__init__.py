"""The worker: claim a run, act on it through a launcher, record how it ended. It keeps nothing in memory that matters.

A worker may be killed at any point. Its runs go on under their shims; the worker that adopts them asks the launcher what
became of each. A worker told to stop lets go of its runs, which the next worker adopts at once.
"""

from tunix_rt.worker.loop import Worker

__all__ = ["Worker"]
