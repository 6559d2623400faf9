"""The descriptions beside a dataset: a Hugging Face card and Croissant metadata, both made from the manifest alone."""

import json
import re
from collections.abc import Iterable
from typing import Any

from tunix_rt.datasets.manifests import DATA, Manifest
from tunix_rt.values import pretty

README, CROISSANT = "README.md", "croissant.json"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
COLUMNS = {
    "trace_version": "version of the trace format",
    "prompt": "the question",
    "steps": "the reasoning: a list of `i`, `type`, `content` and, perhaps, `claims` (JSON text in Parquet)",
    "final_answer": "the answer",
    "meta": "where the trace comes from and what kind it is (JSON text in Parquet)",
}


def files(manifest: Manifest) -> dict[str, bytes]:
    """File name -> content."""
    return {README: readme(manifest).encode(), CROISSANT: croissant(manifest).encode()}


def readme(manifest: Manifest, data: str = DATA) -> str:
    """The card; `data` is the file or pattern that holds the rows, for the same dataset in another container."""
    facts = _facts(manifest)
    parts = [
        _header(manifest, data),
        f"# {manifest.name}",
        manifest.description,
        f"{manifest.count} reasoning traces: a prompt, numbered steps with their types, a final answer. {_truth(manifest)}",
        _table(("fact", "value"), facts.items()),
        "## Rows",
        _table(("column", "holds"), ((f"`{name}`", about) for name, about in COLUMNS.items())),
        "## What it is made of",
        _composition(manifest),
        _statistics(manifest),
        "## Where it comes from",
        _origin(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _header(manifest: Manifest, data: str) -> str:
    """YAML in which every string is quoted the JSON way."""
    licence = manifest.licence.lower()
    named = licence if _LICENCE.fullmatch(licence) else "other"
    lines = ["---", f"license: {named}"]
    if named == "other":
        lines.append(f"license_name: {json.dumps(manifest.licence)}")
    if manifest.recipe:
        lines += ["language:", "- en"]
    lines += [f"pretty_name: {json.dumps(manifest.name)}", "task_categories:", "- text-generation"]
    lines += ["tags:", "- reasoning", "- chain-of-thought", *(["- synthetic"] if _generated(manifest) else [])]
    lines += ["size_categories:", f"- {_size(manifest.count)}"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in manifest.splits:
        lines += [f"  - split: {hub_split(split)}", f"    path: {json.dumps(data)}"]
    return "\n".join([*lines, "---"])


def hub_split(name: str) -> str:
    """The split's name on the Hub, where a set that was never split is one to train on."""
    return "train" if name == "unsplit" else name


def _size(count: int) -> str:
    return next((name for limit, name in _SIZES if count < limit), "n>10M")


def _generated(manifest: Manifest) -> bool:
    return manifest.recipe is not None and manifest.recipe.written is None


def _truth(manifest: Manifest) -> str:
    claims = manifest.statistics.claims
    if _generated(manifest):
        told = (
            f"The steps carry {claims} machine-checkable claims; every one was evaluated and found true when the set was made."
        )
        absent = f" {manifest.of_gym} are of reasoning-gym and have no reasoning: their only step states the answer."
        return told + (absent if manifest.of_gym else "")
    if manifest.selection is not None:
        return "The traces are those of its parents, unchanged."
    if manifest.recipe is not None:
        return "People wrote the items; `tunix-rt check` judges their steps from the text."
    return "Whether the steps are true was not checked when the set was made; `tunix-rt check` judges them."


def _facts(manifest: Manifest) -> dict[str, str]:
    facts = {
        "version": str(manifest.version),
        "licence": manifest.licence,
        "traces": ", ".join(f"{split} {count}" for split, count in manifest.splits.items()),
        "digest of the dataset": f"`{manifest.digest}`",
        "Merkle root of the trace ids": f"`{manifest.merkle_root}`",
        "trace format": manifest.schema_version,
    }
    return facts | {f"sha256 of {name}": f"`{digest}`" for name, digest in manifest.files.items()}


def _composition(manifest: Manifest) -> str:
    counts = manifest.composition.model_dump(exclude={"labels", "group"}) | manifest.composition.labels
    rows = [(kind, ", ".join(f"{name} {count}" for name, count in found.items())) for kind, found in counts.items() if found]
    groups = len(manifest.composition.group)
    rows += [("ways of asking", str(groups))] if groups else []
    return _table(("by", "traces, or steps of that type"), rows)


def _statistics(manifest: Manifest) -> str:
    figures = manifest.statistics.model_dump()
    spreads = [
        (name.replace("_", " "), *(f"{found[key]:g}" for key in ("min", "median", "max")))
        for name, found in figures.items()
        if isinstance(found, dict)
    ]
    singles = [(name.replace("_", " "), str(found)) for name, found in figures.items() if isinstance(found, int)]
    return _table(("length", "smallest", "median", "largest"), spreads) + "\n\n" + _table(("count", "value"), singles)


def _origin(manifest: Manifest) -> str:
    if manifest.source is not None:
        rows = ((name.replace("_", " "), str(value)) for name, value in manifest.source.model_dump(exclude_none=True).items())
        return "Ingested from a file:\n\n" + _table(("fact", "value"), rows)
    if manifest.recipe is None:
        parents = (
            (f"{parent.name} `{parent.dataset_digest}`", str(parent.count), str(parent.taken))
            for parent in manifest.parents or ()
        )
        gone = ", ".join(f"{code} {count}" for code, count in (manifest.dropped or {}).items()) or "none"
        text = f"Left out, each listed in `rejects.jsonl` with its reason: {gone}. `manifest.json` holds the selection."
        return "Selected from other datasets:\n\n" + _table(("dataset", "traces", "taken"), parents) + f"\n\n{text}"
    recipe = manifest.recipe
    again = f"`tunix-rt data build {recipe.name} --check` makes it again and compares every byte."
    if recipe.written:
        return f"Written by hand, in `{recipe.written.file}` with sha256 `{recipe.written.sha256}`. {again}"
    versions = ", ".join(f"{name}@{version}" for name, version in manifest.generators.items())
    brought = "".join(f" Some are of the package {name} {version}." for name, version in (manifest.plugins or {}).items())
    side = "one canonical prompt in eight belongs to evaluation sets for ever"
    return (
        f"Generated from recipe `{recipe.name}` version {recipe.version}, seed {recipe.seed}, digest `{recipe.digest}`. "
        f"{again}\n\n"
        f"Generators: {versions}.{brought}\n\n"
        f"All prompts lie on the {recipe.split} side of a fixed partition: {side}."
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def croissant(manifest: Manifest) -> str:
    """Croissant 1.0 JSON-LD: the data file with its sha256, and the columns of its rows."""
    plain = [_field(name) for name in ("trace_version", "prompt", "final_answer")]
    return pretty(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "name": manifest.name,
            "conformsTo": "http://mlcommons.org/croissant/1.0",
            "description": manifest.description,
            "license": manifest.licence,
            "version": f"{manifest.version}.0.0",
            **({"inLanguage": "en"} if manifest.recipe else {}),
            "isLiveDataset": False,
            "keywords": ["reasoning", "chain of thought"],
            "citeAs": f"{manifest.name} version {manifest.version}, digest {manifest.digest}",
            "distribution": [
                {
                    "@type": "cr:FileObject",
                    "@id": name,
                    "name": name,
                    "contentUrl": name,
                    "encodingFormat": "application/jsonlines",
                    "sha256": digest,
                }
                for name, digest in manifest.files.items()
            ],
            "recordSet": [
                {
                    "@type": "cr:RecordSet",
                    "@id": "traces",
                    "name": "traces",
                    "description": "One trace a line.",
                    "field": [*plain, _steps()],
                }
            ],
        }
    )


def _field(name: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": DATA}, "extract": {"column": name}}
    about = {"description": COLUMNS[name], "dataType": "sc:Text", "source": source}
    return {"@type": "cr:Field", "@id": f"traces/{name}", "name": name, **about}


def _steps() -> dict[str, Any]:
    """The list of steps as parallel lists of their places, types and texts."""
    inner = [
        {
            "@type": "cr:Field",
            "@id": f"traces/steps/{name}",
            "name": name,
            "dataType": kind,
            "repeated": True,
            "source": {"fileObject": {"@id": DATA}, "extract": {"column": "steps"}, "transform": {"jsonPath": f"$[*].{name}"}},
        }
        for name, kind in (("i", "sc:Integer"), ("type", "sc:Text"), ("content", "sc:Text"))
    ]
    return {"@type": "cr:Field", "@id": "traces/steps", "name": "steps", "description": COLUMNS["steps"], "subField": inner}


_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
