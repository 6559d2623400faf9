"""The software a run was made with, as CycloneDX 1.6: every installed distribution that its environment names."""

from collections.abc import Mapping
from typing import Any

from tunix_rt.evidence import standalone


def cyclonedx(environment: Mapping[str, Any]) -> bytes:
    """Without a time or a serial number, so that the same environment gives the same bytes."""
    packages = environment.get("packages")
    named = sorted(packages.items()) if isinstance(packages, dict) else []
    components = [
        {"type": "library", "bom-ref": purl, "name": str(name), "version": str(version), "purl": purl}
        for name, version in named
        for purl in [f"pkg:pypi/{str(name).lower().replace('_', '-')}@{version}"]
    ]
    about = {"type": "application", "name": "tunix-rt", "version": str(environment.get("tunix_rt"))}
    platform = {"type": "platform", "name": "python", "version": str(environment.get("python"))}
    return standalone.pretty(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": about},
            "components": [platform, *components],
        }
    )
