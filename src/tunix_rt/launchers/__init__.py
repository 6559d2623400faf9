"""4b Where a run's process runs: launch, poll, cancel, reap. Each launcher is a module; they do not know each other."""
