"""4b Where a run's process runs: start it, follow it, stop it. Each launcher is a module; they do not know each other."""
