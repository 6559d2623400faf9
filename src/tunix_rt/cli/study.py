"""`tunix-rt study`: several ways to train, several seeds each, compared under a plan that is locked before anything runs."""

import time
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from tunix_rt import datasets, errors, evals, evidence, models, studies, traces, values
from tunix_rt.cli import estimating
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.console import Surface, table
from tunix_rt.reports import studies as telling
from tunix_rt.runs import Trained
from tunix_rt.scoring import scorers
from tunix_rt.studies import BASE, Cell, Question, Study
from tunix_rt.workbench import evaluating, training
from tunix_rt.workbench.building import derive, obtain

group = noun("study", "Ways to train compared, with seeds, under a locked plan.")
NameArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study that ships, or a TOML file.")]
OutOption = Annotated[Path | None, typer.Option(help="Folder for study.md, study.svg and study.json (default: the study's).")]


@command(group)
def run(
    surface: Surface,
    study: NameArgument,
    out: OutOption = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only this arm (repeatable; 'base' is the model as it is).")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed (repeatable).")] = None,
    adapters: Annotated[bool, typer.Option(help="Whether bundles hold the adapters, about 20 MB each.")] = True,
) -> None:
    """Lock the plan, train every arm with every seed, ask all of them the same, pack and verify, report. What is done already
    is not done again.

    With --arm or --seed several processes share a study, once the base model is finished; whichever is last reports.
    """
    conduct(surface, studies.load(study), out, Share(tuple(arm or ()), tuple(seed or ()), adapters))


@command(group)
def status(surface: Surface, study: NameArgument) -> None:
    """What is finished, and what is not."""
    chosen = studies.load(study)
    done, left = studies.cells(surface.settings, chosen), studies.missing(surface.settings, chosen)
    rows = [(one.arm, "-" if one.seed is None else str(one.seed), one.run_id or "-", *_headlines(surface, one)) for one in done]
    data = {"finished": [one.model_dump(mode="json") for one in done], "missing": left}
    told = table(rows, ("arm", "seed", "run", *(f"{name}, strict" for name in chosen.questions))) if rows else "nothing yet"
    surface.emit(data, f"{told}\n{len(done)} of {len(done) + len(left)} finished; missing: {', '.join(left) or 'none'}")


def _headlines(surface: Surface, one: Cell) -> list[str]:
    paths = [evals.find(surface.settings, found) / "summary.json" for found in one.evaluations.values()]
    return [f"{summary['correct']} of {summary['n']}" for summary in map(values.read_json, paths)]


@command(group)
def report(surface: Surface, study: NameArgument, out: OutOption = None) -> None:
    """The report of a study whose every run is finished: study.md, its figure study.svg, and study.json."""
    chosen = studies.load(study)
    finished(surface, chosen)
    _report(surface, chosen, out)


def finished(surface: Surface, study: Study) -> None:
    """Raise `errors.Conflict` naming the runs that are missing."""
    left = studies.missing(surface.settings, study)
    if left:
        text = f"study {study.name!r} is not finished: {', '.join(left)} missing; `tunix-rt study run` goes on."
        raise errors.Conflict(text, missing=left)


def _report(surface: Surface, study: Study, out: Path | None) -> None:
    place = out or studies.folder(surface.settings, study)
    made = telling.write_study(surface.settings, study, place)
    surface.emit(made, f"report {place / 'study.md'}")


class Share(NamedTuple):
    """The part of a study that a process does: these arms with these seeds, all where it names none."""

    arms: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    adapters: bool = True

    def of(self, study: Study) -> list[tuple[str, int]]:
        """(arm, seed) of its runs. `errors.Invalid` for one that the study does not have."""
        for arm in self.arms:
            if arm != BASE and arm not in study.arms:
                raise errors.Invalid(f"study {study.name!r} has no arm {arm!r}.{errors.nearest(arm, [BASE, *study.arms])}")
        for seed in self.seeds:
            if seed not in study.seeds:
                raise errors.Invalid(f"study {study.name!r} has no seed {seed}; it has {', '.join(map(str, study.seeds))}.")
        pairs = study.pairs
        return [one for one in pairs if one[0] in (self.arms or study.arms) and one[1] in (self.seeds or study.seeds)]


WHOLE = Share()


def conduct(surface: Surface, study: Study, out: Path | None, share: Share = WHOLE) -> None:
    """Everything, from the datasets to the report."""
    pairs = share.of(study)
    models.prepare(surface.settings, study.config.model, surface.say)
    build(surface, study)
    plan = studies.lock(surface.settings, study)
    surface.say(f"study {study.name} {plan.study_digest[:12]}: locked; {len(study.pairs)} runs of {study.config.steps} steps")
    hold_enough(surface, study, pairs)
    _finish(surface, study, BASE, None, adapters=False)
    for number, (arm, seed) in enumerate(pairs, start=1):
        surface.say(f"run {number} of {len(pairs)}: {arm}, seed {seed}")
        _finish(surface, study, arm, seed, adapters=share.adapters)
    left = studies.missing(surface.settings, study)
    if left:
        surface.emit({"missing": left}, f"missing: {', '.join(left)}")
    else:
        _report(surface, study, out)


def build(surface: Surface, study: Study) -> None:
    """Every dataset; refused when a prompt or a problem of an evaluation set is also in a training set."""
    for selection in study.selections:
        derive(surface, selection, surface.settings.datasets / selection.name)
    asked = {one.evalset: list(traces.read(obtain(surface, one.evalset).path)) for one in study.questions.values()}
    for name in study.datasets:
        trained = list(traces.read(obtain(surface, name).path))
        problems = {datasets.canonical_prompt(datasets.problem(trace)) for trace in trained}
        for evalset, items in asked.items():
            found = datasets.leakage(trained, items).exact
            found += sum(datasets.canonical_prompt(datasets.problem(item)) in problems for item in items)
            if found:
                raise errors.Invalid(f"{found} prompts or problems of {evalset} are in {name}; the study would prove nothing.")


def hold_enough(surface: Surface, study: Study, pairs: list[tuple[str, int]]) -> None:
    """Before an hour of training: `errors.Invalid` naming the arms whose data is used up before the steps are."""
    left = [pair for pair in pairs if studies.cell(surface.settings, study, *pair) is None]
    surface.say(f"planning {len(left)} runs: has every arm data for {study.config.steps} steps?")
    found = {pair: estimating.facts(surface, studies.asked(study, *pair))["steps"] for pair in left}
    short = [f"{arm!r} (seed {seed}) for {steps}" for (arm, seed), steps in found.items() if steps != study.config.steps]
    if short:
        raise errors.Invalid(
            f"study {study.name!r} asks for {study.config.steps} steps, and there is less data in "
            f"{', '.join(short)}; raise 'epochs' of these arms, or lower 'config.steps'.",
            field="epochs",
        )


def _finish(surface: Surface, study: Study, arm: str, seed: int | None, *, adapters: bool) -> None:
    if studies.cell(surface.settings, study, arm, seed) is not None:
        surface.say(f"  {arm} is finished already")
        return
    trained = None if seed is None else _train(surface, study, arm, seed)
    answered = {name: _ask(surface, study, question, trained) for name, question in study.questions.items()}
    bundles = {} if trained is None else _pack(surface, study, trained, answered, adapters=adapters)
    studies.keep(
        surface.settings,
        study,
        Cell(
            arm=arm,
            seed=seed,
            run_id=trained.run_id if trained else None,
            evaluations={name: folder.name for name, folder in answered.items()},
            bundles=bundles,
            finished_at=round(time.time(), 3),
        ),
    )


def _train(surface: Surface, study: Study, arm: str, seed: int) -> Trained:
    asked = studies.asked(study, arm, seed)
    trained = training.train_spec(surface, asked, dedup_key=studies.dedup_key(study, arm, seed))
    if trained.steps != study.config.steps:
        raise errors.Invalid(
            f"arm {arm!r} ended after {trained.steps} of {study.config.steps} steps: no fair comparison; raise its 'epochs'.",
            arm=arm,
        )
    return trained


def _ask(surface: Surface, study: Study, question: Question, trained: Trained | None) -> Path:
    folder = evaluating.evaluation(
        surface,
        study.config.model,
        trained,
        question.evalset,
        limit=question.limit,
        max_new_tokens=question.max_new_tokens,
    )
    for metric in question.metrics:
        if metric in scorers.KINDS:
            evals.rescore(surface.settings, folder, scorers.named(metric))
    return folder


def _pack(surface: Surface, study: Study, trained: Trained, answered: dict[str, Path], *, adapters: bool) -> dict[str, str]:
    """A verified bundle for every question; the adapter is in the first if in any, the others name it."""
    base = studies.cell(surface.settings, study, BASE)
    assert base is not None, "the base model is asked first"
    made = {}
    for number, (name, folder) in enumerate(answered.items()):
        out = studies.folder(surface.settings, study) / "evidence" / f"{trained.name}-{trained.seed}-{name}.zip"
        before = evals.find(surface.settings, base.evaluations[name])
        limit = 0 if number or not adapters else evidence.ADAPTER_LIMIT
        evidence.pack_compared(surface.settings, trained, before, folder, out, adapter_limit_bytes=limit)
        verdict = evidence.verify(out, 1)
        if not verdict.ok:
            raise errors.Failed(f"the bundle {out} does not verify: {'; '.join(verdict.failures)}", bundle=str(out))
        made[name] = str(verdict.bundle_id)
    return made
