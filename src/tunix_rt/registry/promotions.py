"""Promotion: a finished run becomes a version, through a gate or by somebody's word, which is then written down.

`weigh` decides, `keep` stores the weights, `record` writes the rows, in one transaction for a model's name. Promoting the same
run again is the same version. What a gate decided elsewhere is decided again here: a file that says so is not believed.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from tunix_rt import comparisons, errors, jobs, models, statistics, values
from tunix_rt.comparisons import EvaluationSummary, Gate, baselines
from tunix_rt.jobs import TrainJob
from tunix_rt.registry import aliases, entries
from tunix_rt.registry.entries import Admission, Content, Entry, Measured, Stored
from tunix_rt.registry.tables import HISTORY, MODELS, VERSIONS
from tunix_rt.runs import Trained
from tunix_rt.settings import Settings
from tunix_rt.store import artifacts, clock, open_artifacts
from tunix_rt.values import Value

WEIGHTS, CONFIG = "adapter.safetensors", "adapter_config.json"
LONGEST_REASON = 1_000
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Criterion(Value):
    """What the gate asks. `baseline` is a baseline's name or an evaluation's id; `evaluation` says which of the run's
    evaluations is meant where several could be."""

    baseline: str
    margin: float = 0.05
    metric: str | None = None
    alpha: float = statistics.ALPHA
    seed: int | None = None
    evaluation: str | None = None


def decide(settings: Settings, run: Trained, criterion: Criterion) -> Gate:
    """The gate's decision about the run, whatever it is.

    Raises `errors.NotFound` for an unknown baseline, or when the run has no evaluation that can be held against it.
    """
    against = _against(settings, criterion.baseline)
    fitting = [one for one in _evaluations(settings, run) if any(_comparable(settings, one, other) for other in against)]
    if criterion.evaluation is not None:
        fitting = [one for one in fitting if one.evaluation_id == criterion.evaluation]
    sets = sorted({one.evalset for one in fitting})
    if not fitting:
        asked = sorted({one.evalset for one in against})
        which = f"no evaluation {criterion.evaluation!r}" if criterion.evaluation else "no evaluation"
        text = f"run {run.run_id} has {which} that can be held against {criterion.baseline!r}: "
        raise errors.NotFound(f"{text}tunix-rt eval {run.run_id} --on {asked[0]}", run=run.run_id, evalsets=asked)
    if len(sets) > 1:
        text = f"baseline {criterion.baseline!r} is set on {', '.join(sets)}, and the run is evaluated on each: say which"
        raise errors.Invalid(f"{text} evaluation is to decide (--evaluation ID).", field="evaluation", evalsets=sets)
    return comparisons.judge(
        settings,
        fitting[0].evaluation_id,
        criterion.baseline,
        criterion.margin,
        metric=criterion.metric,
        alpha=criterion.alpha,
        seed=criterion.seed,
    )


def _against(settings: Settings, baseline: str) -> list[EvaluationSummary]:
    """The evaluations that a baseline's name stands for, or the one of that id; nothing here is made into a path."""
    ids = [baseline] if values.fits("[0-9a-f]{16}", baseline) else []
    ids += [one.evaluation_id for one in baselines.listed(settings, baseline)]
    found = [_summary(settings.evals / name) for name in ids if (settings.evals / name / "summary.json").is_file()]
    if not found:
        known = sorted({one.name for one in baselines.listed(settings)})
        text = f"no baseline and no finished evaluation {baseline!r}.{errors.nearest(baseline, known)}"
        raise errors.NotFound(f"{text} `tunix-rt baselines set NAME EVAL` makes a baseline.", baseline=baseline)
    return found


def choices(settings: Settings, run: Trained) -> tuple[tuple[str, str], ...]:
    """(what `Criterion.baseline` takes, what it is): baselines by name, then every other evaluation of the same questions."""
    mine = _evaluations(settings, run)
    others = [
        one for one in _summaries(settings) if one.run_id != run.run_id and any(_comparable(settings, one, own) for own in mine)
    ]
    named = sorted({one.name for one in baselines.listed(settings) if one.evaluation_id in {o.evaluation_id for o in others}})
    told = [(one.evaluation_id, f"{one.label} on {one.evalset}, {100 * one.accuracy:.1f} %") for one in others]
    return (*((name, f"baseline {name}") for name in named), *told)


def _summaries(settings: Settings) -> list[EvaluationSummary]:
    """The newest first."""
    paths = sorted(settings.evals.glob("*/summary.json"), key=lambda path: -path.stat().st_mtime_ns)
    return [_summary(path.parent) for path in paths]


def _summary(folder: Path) -> EvaluationSummary:
    path = folder / "summary.json"
    return EvaluationSummary.parse(values.read_json(path), source=str(path))


def _evaluations(settings: Settings, run: Trained) -> list[EvaluationSummary]:
    """Of these very weights, the newest first."""
    return [one for one in _summaries(settings) if (one.run_id, one.adapter_digest) == (run.run_id, run.adapter_digest)]


def _comparable(settings: Settings, one: EvaluationSummary, other: EvaluationSummary) -> bool:
    keys = ("evalset_digest", "instruction_digest", "n")
    if any(getattr(one, key) != getattr(other, key) for key in keys):
        return False
    limits = [comparisons.limits_of(settings.evals / each.evaluation_id) for each in (one, other)]
    return None in limits or limits[0] == limits[1]


def read_gate(settings: Settings, run: Trained, path: Path) -> Gate:
    """The decision in a `gate.json`, made again from what it names; `errors.Tampered` when it comes out otherwise."""
    told = Gate.parse(values.read_json(path), source=str(path))
    criterion = Criterion(
        baseline=told.baseline_name or told.baseline,
        margin=told.margin,
        metric=told.metric,
        alpha=told.alpha,
        seed=told.seed,
        evaluation=told.candidate,
    )
    made = decide(settings, run, criterion)
    if (made.decision, made.criterion_digest) != (told.decision, told.criterion_digest):
        text = f"{path} says {told.decision}; decided again from the same evaluations it is {made.decision}"
        raise errors.Tampered(f"{text}: make a new one with tunix-rt gate.", path=str(path), decision=made.decision)
    return made


def admit(settings: Settings, run: Trained, gate: Gate | None, reason: str | None, *, forced: bool = False) -> Admission:
    """Let the run in by a gate that passed, or by force and with a reason; else `errors.Refused` says why not."""
    if reason is not None and not 1 <= len(reason.strip()) <= LONGEST_REASON:
        raise errors.Invalid(f"a reason has 1 to {LONGEST_REASON} characters.", field="reason")
    evaluations = tuple(Measured(**one.model_dump(include=set(Measured.model_fields))) for one in _evaluations(settings, run))
    if gate is not None and gate.decision == "pass":
        return Admission(standing="passed", gate=gate, evaluations=evaluations)
    if not forced:
        raise _refused(run, gate)
    if reason is None:
        raise errors.Invalid("to promote a run by force takes a reason, which is kept (--reason TEXT).", field="reason")
    return Admission(standing="forced", gate=gate, evaluations=evaluations)


def _refused(run: Trained, gate: Gate | None) -> errors.Refused:
    force = "`--force --reason TEXT` promotes it all the same, and both are kept."
    if gate is None:
        text = f"run {run.run_id} is not promoted: no gate was named. Name one with --baseline and --margin, or --gate FILE;"
        return errors.Refused(f"{text} {force}", run=run.run_id, decision=None)
    low, high = (f"{100 * end:+.1f}" for end in gate.bounds)
    text = (
        f"run {run.run_id} is not promoted: its gate is {gate.decision}. On {gate.evalset} it is {gate.reason}: {gate.metric} "
        f"{100 * gate.candidate_value:.1f} % against {100 * gate.baseline_value:.1f} %, gain {low} to {high} points."
        if gate.decision == "fail"
        else f"run {run.run_id} is not promoted: its gate is {gate.decision}. {gate.reason[0].upper()}{gate.reason[1:]} "
        f"({gate.evalset}, {gate.metric}, gain {low} to {high} points)."
    )
    return errors.Refused(f"{text} {force}", run=run.run_id, decision=gate.decision, gate=gate.model_dump(mode="json"))


def keep(settings: Settings, run: Trained) -> Content:
    """Store the run's weights, streamed, and say what they are; `errors.Tampered` when they are not the run's own.

    Stored and not yet registered, a file is young, so no collection takes it meanwhile.
    """
    folder = Path(run.dir)
    job, _ = jobs.read(folder)
    if not isinstance(job, TrainJob):
        raise errors.Invalid(f"{folder} holds no training run.", run=run.run_id)
    store, files = open_artifacts(settings), {}
    for name in (WEIGHTS, CONFIG):
        path = folder / "adapter" / name
        if not path.is_file():
            raise errors.NotFound(f"{path} is missing; the run cannot be promoted without it.", path=str(path))
        made = store.put_file(path)
        files[name] = Stored(sha256=made.digest, bytes=made.size)
    if files[WEIGHTS].sha256 != run.adapter_digest:
        text = f"{folder / 'adapter' / WEIGHTS} is not the adapter {run.adapter_digest[:12]} of run {run.run_id}."
        raise errors.Tampered(text, path=str(folder), digest=run.adapter_digest)
    return Content(job=job, facts=run.model_dump(mode="json", exclude={"dir"}), files=files)


def record(
    connection: Connection,
    settings: Settings,
    name: str,
    content: Content,
    admission: Admission,
    *,
    who: str,
    reason: str | None = None,
    alias: str | None = None,
) -> tuple[Entry, bool]:
    """(the version, whether it is new). Everything under one name is written one after another.

    A version that is there already keeps its number, and its admission unless it was forced before and passes now.
    """
    entries.check_name(name)
    if name in models.known(settings):
        raise errors.Conflict(f"{name!r} is a base model here; register under another name.", model=name)
    made = _INSERT[connection.dialect.name](MODELS).values(name=name, created=clock())
    connection.execute(made.on_conflict_do_nothing(index_elements=["name"]))
    aliases.hold(connection, name)
    digest = content.digest
    query = select(VERSIONS.c.version).where(VERSIONS.c.name == name, VERSIONS.c.digest == digest)
    version = connection.scalar(query)
    new = version is None
    if version is None:
        version = _add(connection, name, digest, content)
    if new or (admission.standing == "passed" and entries.get(connection, f"{name}@{version}").admission.standing == "forced"):
        connection.execute(
            insert(HISTORY).values(
                name=name,
                version=version,
                action="promoted",
                who=who,
                at=clock(),
                reason=reason,
                admission=admission.model_dump(mode="json"),
            )
        )
    if alias is not None:
        aliases.point(connection, name, version, alias, who=who, reason=reason)
    return entries.get(connection, f"{name}@{version}"), new


def _add(connection: Connection, name: str, digest: str, content: Content) -> int:
    last = connection.scalar(select(func.max(VERSIONS.c.version)).where(VERSIONS.c.name == name)) or 0
    row = {"name": name, "version": last + 1, "digest": digest, "run_id": content.job.run_id}
    connection.execute(insert(VERSIONS).values(**row, content=content.model_dump(mode="json"), created=clock()))
    for file, stored in content.files.items():
        artifacts.use(connection, owner(name, last + 1), file, artifacts.Put(stored.sha256, stored.bytes))
    return last + 1


def owner(name: str, version: int) -> str:
    """Under which the artifact store knows the files of a version; nothing ever releases it."""
    return f"model:{name}@{version}"
