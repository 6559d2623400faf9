"""The metadata file of a Kaggle dataset folder, within the limits that Kaggle's own documentation states.

Source: `dataset-metadata.json` as documented with the kaggle command: title of 6 to 50 characters, subtitle of 20 to 80, slug
of 3 to 50, exactly one licence out of a closed list.
"""

import re
from typing import Any

METADATA = "dataset-metadata.json"
NO_OWNER = "INSERT_USERNAME_HERE"
_LICENCES = (
    "CC0-1.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "GPL-2.0", "ODbL-1.0", "DbCL-1.0", "unknown", "CC-BY-4.0",
    "CC-BY-NC-4.0", "PDDL", "CC-BY-3.0", "CDLA-Permissive-1.0", "CDLA-Sharing-1.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0",
    "ODC-BY-1.0", "LGPL-3.0", "AGPL-3.0", "FDL-1.3", "apache-2.0", "GPL-3.0",
)  # fmt: skip
_NAMED = {name.lower(): name for name in _LICENCES}


def metadata(name: str, description: str, licence: str, owner: str | None, data: str) -> dict[str, Any]:
    """Without an owner the id keeps a placeholder that no Kaggle account has, so an upload of it fails."""
    return {
        "title": _title(name),
        "subtitle": "Reasoning traces: a prompt, numbered steps, a final answer",
        "description": f"{description}\n\nLicence: {licence}. One JSON object a line; read by tunix-rt as `tunix-rt`.",
        "id": f"{owner or NO_OWNER}/{_slug(name)}",
        "licenses": [{"name": _NAMED.get(licence.lower(), "other")}],
        "resources": [{"path": data, "description": "One reasoning trace a line, as JSON."}],
    }


def _title(name: str) -> str:
    return name[:50] if len(name) >= 6 else f"{name} reasoning traces"


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
    return slug if len(slug) >= 3 else f"{slug}-traces".strip("-")
