"""What Kaggle has to be told, as its command-line tool reads it: whose the notebook is, what it runs on, what is attached.

The fields are those of `docs/kernels_metadata.md` and `docs/datasets_metadata.md` in Kaggle/kaggle-cli.
"""

import re
from typing import Any, Literal, NamedTuple

from tunix_rt import errors
from tunix_rt.jobs import Device

Accelerator = Literal["none", "t4", "t4x2", "p100", "tpu"]
# `machine_shape` as that repository's documentation lists it; in September 2026 it no longer named the P100.
ACCELERATORS: dict[Accelerator, str] = {
    "none": "",
    "t4": "NvidiaTeslaT4",
    "t4x2": "NvidiaTeslaT4Highmem",
    "p100": "NvidiaTeslaP100",
    "tpu": "TpuV5E8",
}
_USER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SHORTEST, LONGEST = 6, 43  # characters of a slug: Kaggle's limits for titles and slugs, with `-inputs` to come


class Place(NamedTuple):
    """Where on Kaggle a submission goes. The notebook is `user/slug`, the dataset that it needs `user/slug-inputs`."""

    user: str
    slug: str
    accelerator: Accelerator = "none"

    @property
    def device(self) -> Device:
        """Where the notebook insists on running."""
        return "auto" if self.accelerator == "none" else "tpu" if self.accelerator == "tpu" else "gpu"

    @property
    def inputs(self) -> str:
        return f"{self.slug}-inputs"


def place(user: str | None, slug: str | None, name: str, accelerator: Accelerator) -> Place:
    """The place that the options name; without a slug it is made of the config's `name`. `errors.Invalid` names the option."""
    if user is None:
        raise errors.Invalid(
            "the notebook needs an owner on Kaggle; give --user NAME (the last part of your profile's address).",
            option="--user",
        )
    if not _USER.fullmatch(user):
        raise errors.Invalid(f"--user {user!r} is no Kaggle user name: lower-case letters, digits and '-'.", option="--user")
    chosen = (
        slug if slug is not None else f"tunix-rt-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}"[:LONGEST].strip("-")
    )
    if not _SLUG.fullmatch(chosen) or not SHORTEST <= len(chosen) <= LONGEST:
        raise errors.Invalid(
            f"--slug {chosen!r} cannot name a notebook: {SHORTEST} to {LONGEST} lower-case letters and digits, parted by '-'.",
            option="--slug",
        )
    return Place(user, chosen, accelerator)


def kernel_metadata(place: Place) -> dict[str, Any]:
    """`kernel-metadata.json`. Kaggle makes the slug of the title, so the title is the slug's words."""
    return {
        "id": f"{place.user}/{place.slug}",
        "title": place.slug.replace("-", " "),
        "code_file": f"{place.slug}.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": place.device == "gpu",
        "enable_tpu": place.device == "tpu",
        "enable_internet": False,
        "machine_shape": ACCELERATORS[place.accelerator],
        "dataset_sources": [f"{place.user}/{place.inputs}"],
        "competition_sources": [],
        "kernel_sources": [],
        "model_sources": [],
    }


def dataset_metadata(place: Place, licences: dict[str, str]) -> dict[str, Any]:
    """`dataset-metadata.json` of what is attached to the notebook. Wheels under many licences lie in it, so its own is `other`;
    `licences` are those of the datasets, by name."""
    held = "; ".join(f"{name} is under {licence}" for name, licence in sorted(licences.items()))
    return {
        "title": place.inputs.replace("-", " "),
        "id": f"{place.user}/{place.inputs}",
        "licenses": [{"name": "other"}],
        "description": (
            f"What the notebook {place.user}/{place.slug} needs without internet: the wheels of tunix-rt and of what it "
            f"imports, each under the licence in its own metadata, the training config and the data. {held}."
        ),
    }
