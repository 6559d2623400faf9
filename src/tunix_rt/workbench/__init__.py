"""What a person does at a workspace, from asking to the end, for the command line and for notebooks alike.

A verb calls stages and holds no rule; it works in the foreground, through the same ledger as every worker, and tells its desk
how it goes. `Workspace` is the desk of a notebook; the command line brings its own.
"""

from tunix_rt.workbench.workspace import Checked, Workspace

__all__ = ["Checked", "Workspace"]
