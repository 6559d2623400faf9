"""Where a long count goes: `docs/results/NAME.json`, with the row of reliability it belongs to, the date and the machine."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def keep(name: str, row: str, **counted: Any) -> None:
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    report = {"id": row, "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, **counted}
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
