"""`python -m tunix_rt.cli`: the same as `tunix-rt`."""

from tunix_rt.cli import main

main()
