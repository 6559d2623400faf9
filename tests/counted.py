"""Figures of the long counts, as files of docs/results that the documentation shows with date and machine."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunix_rt import values

FOLDER = Path(__file__).parents[1] / "docs" / "results"


def record(name: str, row: str, **figures: Any) -> None:
    """Write `docs/results/<name>.json` for a row of the reliability table."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    about = {"id": row, "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine}
    values.write_json(FOLDER / f"{name}.json", {**about, **figures})
