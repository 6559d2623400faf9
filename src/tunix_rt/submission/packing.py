"""One small zip of an evaluated run: notebook, config, recipes, evaluation set, manifests, results and logs; the same run
gives the same bytes.

Everything that evidence needs has to be there: the bundle is gathered and verified as `evidence pack` would, and what is left
out of the submission is named, with its sha256, in `evidence.json`.
"""

import io
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tunix_rt import datasets, errors, evidence, jobs, models, redaction, settings, values
from tunix_rt.datasets import Manifest
from tunix_rt.evidence import Facts, secrets
from tunix_rt.jobs import Drawn
from tunix_rt.runs import Trained
from tunix_rt.settings import Settings
from tunix_rt.submission import kaggle
from tunix_rt.submission.kaggle import Place
from tunix_rt.submission.notebooks import Data, Subject, notebook
from tunix_rt.values import Value

LIMIT = 100_000  # bytes that a submission without data is meant to stay under
CONTENTS = "contents.json"
KEPT = {  # of the evidence bundle's members -> their names here
    "model_card.md": "model_card.md",
    "run.json": "run/run.json",
    "config.json": "run/config.json",
    "environment.json": "run/environment.json",
    "metrics.jsonl": "run/metrics.jsonl",
    "comparison.json": "evaluation/comparison.json",
    "looks.json": "evaluation/looks.json",
    "manifest.json": "evidence.json",
    **{f"{side}/{name}.json": f"evaluation/{side}/{name}.json" for side in ("base", "tuned") for name in ("config", "summary")},
}
LOGS = ("log.txt", "events.jsonl")


class Entry(Value):
    name: str
    bytes: int
    sha256: str


class Packed(NamedTuple):
    """`root` names the evidence bundle of the same run, `attach` what has to be put beside the packed inputs by hand."""

    files: tuple[Entry, ...]
    bytes: int
    root: str
    attach: tuple[str, ...]


def pack(workspace: Settings, run: Trained, place: Place, out: Path, *, with_data: bool = False) -> Packed:
    """Write the zip. `errors.NotFound` names what is missing and the command that makes it; a dataset that nobody but its
    owner can make again is refused unless it is included (`with_data`); secrets and paths of this machine are refused."""
    gathered = evidence.gather_run(workspace, run)
    facts, members = gathered.facts, gathered.members
    held = {new: members[old] for old, new in KEPT.items() if old in members} | _logs(workspace, Path(run.dir))
    subject = _subject(facts, place)
    folders = (jobs.read(Path(run.dir))[1].dataset, datasets.find(workspace, subject.evalset.name).path.parent)
    held |= _inputs(facts, subject, members) | (_data(facts, folders) if with_data else {})
    if not with_data:
        _refuse_unmade(subject)
    held |= _notebook(facts, subject, place)
    attach = tuple(_attach(subject))
    held["README.md"] = _readme(facts, place, attach, gathered.manifest.merkle_root).encode()
    secrets.refuse_paths(held, (Path(run.dir), workspace.home, *folders))
    secrets.refuse(held, settings.secrets())
    files = tuple(Entry(name=name, bytes=len(data), sha256=values.sha256(data)) for name, data in sorted(held.items()))
    held[CONTENTS] = values.pretty({"run_id": run.run_id, "files": [one.model_dump() for one in files]}).encode()
    archive = _zipped(held)
    values.write_bytes(out, archive)
    return Packed(files, len(archive), gathered.manifest.merkle_root, attach)


def _subject(facts: Facts, place: Place) -> Subject:
    return Subject(
        config=facts.job.config,
        trainset=Data.of(facts.trainset.manifest),
        evalset=Data.of(facts.evalset.manifest),
        model_digest=facts.run.model_digest,
        device=place.device,
        limit=facts.tuned.job.limit,
        drawn=Drawn.parse(facts.tuned.job.model_dump(include=set(Drawn.model_fields)), source="tuned/config.json"),
        max_new_tokens=facts.tuned.job.max_new_tokens,
    )


def _logs(workspace: Settings, folder: Path) -> dict[str, bytes]:
    """What the run said. A secret in it is refused as it stands; places on this machine are then called by their roles."""
    found = {}
    for name in LOGS:
        path = folder / name
        if not path.is_file():
            raise errors.NotFound(f"{path} is missing; a submission holds the log of its run.", path=str(path))
        found[f"run/{name}"] = path.read_bytes()
    secrets.refuse(found, settings.secrets())
    hide = redaction.Redactor(workspace.home)
    said = {name: data.decode(errors="replace").replace(sys.prefix, "<python>") for name, data in found.items()}
    return {name: hide(text).encode() for name, text in said.items()}


def _inputs(facts: Facts, subject: Subject, members: Mapping[str, bytes]) -> dict[str, bytes]:
    held = {"inputs/train.toml": jobs.config_text(facts.job.config, defaults=True).encode()}
    held[f"inputs/evalset/{subject.evalset.name}.jsonl"] = members["evalset/dataset.jsonl"]
    for folder, data in (("dataset", subject.trainset), ("evalset", subject.evalset)):
        held[f"inputs/manifests/{data.name}.json"] = members[f"{folder}/manifest.json"]
        if data.recipe is not None:
            held[f"inputs/recipes/{data.name}.toml"] = data.recipe.encode()
    return held


def _data(facts: Facts, folders: tuple[Path, Path]) -> dict[str, bytes]:
    manifests: tuple[Manifest, Manifest] = (facts.trainset.manifest, facts.evalset.manifest)
    held: dict[str, bytes] = {}
    for manifest, folder in zip(manifests, folders, strict=True):
        files = {name: (folder / name).read_bytes() for name in manifest.files} | datasets.about(manifest)
        held |= {f"inputs/datasets/{manifest.name}/{name}": content for name, content in files.items()}
    return held


def _refuse_unmade(subject: Subject) -> None:
    for data in (subject.trainset, subject.evalset):
        if data.attached:
            raise errors.Invalid(
                f"no recipe makes dataset {data.name!r} again, so the notebook could not; include it with --with-data.",
                option="--with-data",
                dataset=data.name,
            )


def _notebook(facts: Facts, subject: Subject, place: Place) -> dict[str, bytes]:
    licences = {one.manifest.name: one.manifest.licence for one in (facts.trainset, facts.evalset)}
    documents: dict[str, Any] = {
        "kernel/kernel-metadata.json": kaggle.kernel_metadata(place),
        "inputs/dataset-metadata.json": kaggle.dataset_metadata(place, licences),
    }
    written = {name: values.pretty(document).encode() for name, document in documents.items()}
    return written | {f"kernel/{place.slug}.ipynb": notebook(subject)}


def _attach(subject: Subject) -> Iterator[str]:
    yield "wheels/: the wheels of tunix-rt and of all it imports (the README in the zip has the commands)"
    if subject.config.model not in models.SOURCES:
        yield f"models/{subject.config.model}/: the base model's folder, as `tunix-rt models pull` takes it"


def _readme(facts: Facts, place: Place, attach: tuple[str, ...], root: str) -> str:
    run, compared = facts.run, facts.comparison
    low, high = compared.ci95
    smoke = " It was a smoke run, cut short to try the path; it shows nothing about the model." if run.reason == "smoke" else ""
    beside = "\n".join(f"- `inputs/{line.partition(':')[0]}`:{line.partition(':')[2]}" for line in attach)
    return f"""\
# {run.name}: {run.model} on {run.dataset}

Run `{run.run_id}`, {run.steps} optimizer steps, compared with its base model on {compared.n} items of `{compared.evalset}`:
**{compared.verdict}**, {100 * compared.difference:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}.{smoke}
What that means is in `model_card.md`. What proves it is the evidence bundle that `tunix-rt evidence pack {run.run_id}` writes;
`evidence.json` is its list of files, and its Merkle root is

    {root}

| where | what |
|---|---|
| `kernel/` | the notebook and `kernel-metadata.json`: `kaggle kernels push -p kernel` |
| `inputs/` | what the notebook needs, with `dataset-metadata.json`: config, recipes, evaluation set, manifests |
| `run/` | the run: what it was asked, what it did at every step, its log, versions and device |
| `evaluation/` | both evaluations' questions and summaries, their comparison, every look at the evaluation set |
| `contents.json` | size and sha256 of every file here |

Before `kaggle datasets create -p inputs --dir-mode zip`, put there what no submission carries:

{beside}

The wheels come from a clone of tunix-rt:

    python -m pip wheel --no-deps --wheel-dir inputs/wheels CLONE
    python -m pip download --no-deps --require-hashes --requirement CLONE/requirements/train.txt --dest inputs/wheels

The dataset becomes `{place.user}/{place.inputs}`, the notebook `{place.user}/{place.slug}`. `docs/runbook.md` there has every
step, and what to do when one fails.
"""


def _zipped(members: Mapping[str, bytes]) -> bytes:
    """Names in order, fixed times and modes. Another build of zlib may pack the same contents into other bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o100644 << 16, 3
            archive.writestr(entry, members[name])
    return buffer.getvalue()
