"""An example of what a package can bring to tunix-rt: a task, a scorer and an import format."""
