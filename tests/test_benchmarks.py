"""The benchmark that starts a server of its own still finds it."""

import subprocess
import sys
from pathlib import Path


def test_the_service_is_measured(root: Path) -> None:
    command = [sys.executable, "benchmarks/service.py", "--traces", "60", "--seconds", "0.02"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for row in ("POST trace", "list 20", "search, one hit", "batches of 5,000", "ingest of a file", "traces.stored.add_many"):
        assert f"\n{row}" in done.stdout
