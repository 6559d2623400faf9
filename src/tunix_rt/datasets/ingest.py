"""A dataset from a file that people have: streamed, strict by default, stored once.

Nothing appears under the dataset's name until every line has been read; with a bad line and without `skip_bad`, nothing ever
does. Rows with the same prompt, steps and answer are one trace, whatever line they stand on.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from tunix_rt import checking, errors, formats, plugins
from tunix_rt.datasets.figures import Tally
from tunix_rt.datasets.manifests import DATA, Manifest, Source
from tunix_rt.datasets.staging import own_name, staging, store
from tunix_rt.formats import Bad
from tunix_rt.formats.ahead import Ahead, Line
from tunix_rt.store import Store
from tunix_rt.traces import TRACE_VERSION, Trace, forms, searching, stored
from tunix_rt.traces.stored import Entry
from tunix_rt.values import atomic_writer, jsonl_line, merkle_root, sha256_file

LISTED = 10_000  # bad lines kept in memory; a rejects file holds all of them
_WORDS = "words"  # beside the data while it is staged: a line of words for each trace, so that the database waits for nothing
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Refused(errors.Invalid):
    """Lines of the file cannot be read, and nothing was stored."""

    code = "bad_lines"

    def as_dict(self) -> dict[str, Any]:
        listed = {key: self.details[key] for key in ("duplicates", "rejected", "rejected_count", "by_code")}
        return {**super().as_dict(), "added": 0, **listed}


class Ingested(NamedTuple):
    """`added` is 0 and every good row a duplicate when the dataset was there already."""

    manifest: Manifest
    added: int
    duplicates: int
    rejected: tuple[Bad, ...]
    rejected_count: int
    by_code: dict[str, int]

    def report(self) -> dict[str, Any]:
        """What became of the file's rows, as JSON."""
        source = self.manifest.source
        return {
            "added": self.added,
            "duplicates": self.duplicates,
            "rejected": [found.report() for found in self.rejected],
            "rejected_count": self.rejected_count,
            "by_code": self.by_code,
            "format": source.format if source else None,
            "without_reasoning": source.reasoning_absent if source else 0,
            "check": source.check.model_dump(mode="json") if source and source.check else None,
        }


class _Intake:
    """What has been read so far: traces once, rejects by code; 48 bytes are kept of each trace beside its tally."""

    def __init__(
        self, reader: Ahead, data: IO[bytes], words: IO[bytes] | None, rejects: IO[bytes] | None, *, judge: bool
    ) -> None:
        self.reader, self._data, self._words, self._rejects = reader, data, words, rejects
        self.verdicts = checking.Totals() if judge else None
        self.counted = Tally()
        self.rejected: list[Bad] = []
        self.by_code: Counter[str] = Counter()
        self.duplicates = self.absent = 0
        self._ids, self._contents = bytearray(), bytearray()
        self._seen: set[bytes] = set()

    def run(self, update: Callable[[int], None] | None) -> None:
        for count, found in enumerate(self.reader, start=1):
            if isinstance(found, Bad):
                self._reject(found)
            else:
                self._take(*found)
            if update and count % 1_000 == 0:
                update(count)
        self._seen.clear()  # 100 MB for a million traces, which the database can use now

    def ids(self) -> Iterator[str]:
        return (self._ids[at : at + 32].hex() for at in range(0, len(self._ids), 32))

    def entries(self, path: Path) -> Iterator[Entry]:
        """What the database keeps of the traces written to `path`, in order; their words were written beside it."""
        words = path.parent / _WORDS
        with path.open(encoding="utf-8", newline="\n") as data, words.open(encoding="utf-8", newline="\n") as found:
            for at, (line, told, trace_id) in enumerate(zip(data, found, self.ids(), strict=True)):
                parent = stored.parent(orjson.loads(line)["meta"]) if '"parent":' in line else None
                content = bytes(self._contents[16 * at : 16 * at + 16])
                yield Entry(trace_id, content, parent, line[:-1], told[:-1])

    def _take(self, number: int, line: Line) -> None:
        wrong = _judged(line, number, self.verdicts) if self.verdicts else None
        if wrong:
            self._reject(wrong)
        else:
            self._add(line)

    def _add(self, line: Line) -> None:
        found = forms(line)
        if found.content in self._seen:
            self.duplicates += 1
            return
        self._seen.add(found.content)
        self._contents += found.content
        self._ids += bytes.fromhex(found.id)
        self.counted.add(line)
        self.absent += line["meta"]["source"].get("reasoning") == "absent"
        self._data.write(found.body)
        if self._words:
            told = searching.told(line["prompt"], [step["content"] for step in line["steps"]], line["final_answer"])
            self._words.write(told.encode() + b"\n")

    def _reject(self, found: Bad) -> None:
        self.by_code[found.code] += 1
        if len(self.rejected) < LISTED:
            self.rejected.append(found._replace(raw=None))
        if self._rejects:
            self._rejects.write(jsonl_line({**found.report(), "raw": found.raw}))


def _judged(line: Line, number: int, verdicts: checking.Totals) -> Bad | None:
    """What the checker, looking at the trace alone, finds wrong in it."""
    check = checking.check(Trace.model_validate(line), number, "free")
    verdicts.add(check)
    if not check.wrong:
        return None
    raw = jsonl_line(line).decode().rstrip("\n")
    if check.first_wrong is None:
        text = f"the answer is {check.answer.got!r}, but the steps reach {check.answer.expected!r}."
        return Bad(number, "wrong_answer", "final_answer", text, raw)
    step = check.steps[check.first_wrong - 1]
    text = f"step {step.i} says {step.got!r}, but {step.expected!r} is right ({step.kind})."
    return Bad(number, "wrong_step", f"steps.{step.i - 1}.content", text, raw)


def ingest(
    path: Path,
    datasets: Path,
    opened: Store | None = None,
    *,
    name: str | None = None,
    format: str = "auto",
    skip_bad: bool = False,
    check: bool = False,
    rejects: Path | None = None,
    licence: str = "unknown",
    update: Callable[[int], None] | None = None,
) -> Ingested:
    """Read the file into the dataset `name` (default: from the file's name) under the folder `datasets`.

    With an `opened` database its traces are kept there too, in one transaction, each once whatever file it comes from; the
    transaction begins when all lines have been read.

    With `check` a trace in which the checker finds a wrong step or answer counts as a bad line. The verdict is not stored with
    the trace, since it can be had again; the manifest's source counts it.

    Raises Refused when a line is bad and `skip_bad` is off or nothing else is left, BadFile when the file cannot be read, and
    Conflict when the name is taken by other content. `rejects` gets every bad line in each case, raw text included.
    """
    chosen = _name(name if name is not None else _slug(path))
    reader = Ahead(path, None if format == "auto" else formats.named(format))
    if rejects and rejects.exists() and rejects.samefile(path):
        raise errors.Invalid(f"the rejects would be written over {str(path)!r} itself; name another file.", path=str(rejects))
    with staging(datasets) as stage:
        with ExitStack() as stack:
            data = stack.enter_context(atomic_writer(stage / DATA))
            kept = stack.enter_context(atomic_writer(rejects)) if rejects else None
            words = stack.enter_context((stage / _WORDS).open("wb")) if opened else None
            intake = _Intake(reader, data, words, kept, judge=check)
            intake.run(update)
        rejected = sum(intake.by_code.values())
        if rejected and (not skip_bad or not intake.counted.count):
            raise _refused(path, intake, rejected)
        manifest = _manifest(chosen, licence, intake, sha256_file(stage / DATA))
        with opened.unit_of_work() if opened else nullcontext() as connection:
            if connection is not None and intake.reader.format is not None:
                stored.add_entries(connection, intake.entries(stage / DATA), intake.reader.format.name, unique="content")
            fresh = store(stage, manifest, datasets / chosen)
    added = intake.counted.count if fresh else 0
    duplicates = intake.duplicates + intake.counted.count - added
    return Ingested(manifest, added, duplicates, tuple(intake.rejected), rejected, dict(sorted(intake.by_code.items())))


def _refused(path: Path, intake: _Intake, count: int) -> Refused:
    lines = [f"  line {found.line}: {found.code}: {found.message}" for found in intake.rejected]
    if count > len(lines):
        lines.append(f"  and {count - len(lines)} more")
    advice = "--skip-bad leaves them out, --rejects FILE writes them down" if intake.counted.count else "no other line is left"
    return Refused(
        "\n".join([f"{path}: {count} bad line{'s' * (count > 1)}, so nothing was stored; {advice}.", *lines]),
        path=str(path),
        duplicates=intake.duplicates,
        rejected=[found.report() for found in intake.rejected],
        rejected_count=count,
        by_code=dict(sorted(intake.by_code.items())),
    )


def _manifest(name: str, licence: str, intake: _Intake, data_sha256: str) -> Manifest:
    rows, form, counted = intake.reader, intake.reader.format, intake.counted
    assert form is not None
    package = plugins.package(formats.PLUGINS, form.name)
    source = Source(
        file=rows.path.name,
        sha256=rows.sha256,
        format=form.name,
        rows=rows.count,
        added=counted.count,
        duplicates=intake.duplicates,
        rejected=sum(intake.by_code.values()),
        reasoning_absent=intake.absent,
        check=intake.verdicts.summary if intake.verdicts else None,
    )
    return Manifest(
        name=name,
        version=1,
        description=f"Ingested from {rows.path.name} ({form.about}).",
        licence=licence,
        count=counted.count,
        splits={"unsplit": counted.count},
        schema_version=TRACE_VERSION,
        source=source,
        generators={},
        plugins=dict([package]) if package else None,
        composition=counted.composition,
        statistics=counted.figures,
        files={DATA: data_sha256},
        merkle_root=merkle_root(intake.ids()),
    )


def _slug(path: Path) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._")[:64] or "ingested"


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        text = f"{name!r} cannot name a dataset: use up to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit."
        raise errors.Invalid(text, name=name)
    return own_name(name)
