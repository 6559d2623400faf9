"""An evaluation in the foreground, answered once for each question."""

from pathlib import Path

from tunix_rt import errors, evals, models, runs
from tunix_rt.jobs import INSTRUCTIONS, Device, Drawn
from tunix_rt.runs import RESUMABLE, Posed, Trained
from tunix_rt.scoring import ReplyFormat
from tunix_rt.workbench import following, foreground, registered
from tunix_rt.workbench.building import obtain
from tunix_rt.workbench.desk import Desk


def evaluate(
    desk: Desk,
    what: str,
    evalset: str,
    *,
    like: str | None = None,
    form: ReplyFormat | None = None,
    limit: int | None = None,
    max_new_tokens: int = 160,
    device: Device = "auto",
    drawn: Drawn = Drawn(),
) -> Path:
    """The folder of the evaluation of a run, a registered model or a base model. A base model is asked in the format `form`,
    or as the run `like` was trained; a run is asked as it was trained, and says so when told otherwise."""
    run = None if what in models.known(desk.settings) else registered.trained(desk, what)
    if run is not None and (like or form):
        raise errors.Invalid(
            f"{what!r} is a run, and a run is asked as it was trained; leave out the other run or format.",
            field="like" if like else "format",
        )
    if like is not None and form is not None:
        raise errors.Invalid(f"the run {like!r} says in which format; leave out {form!r}.", field="format")
    return evaluation(
        desk,
        run.model if run else what,
        run,
        evalset,
        posed=_posed(registered.trained(desk, like) if like else run, form),
        limit=limit,
        max_new_tokens=max_new_tokens,
        device=device,
        drawn=drawn,
    )


def evaluation(
    desk: Desk,
    model: str,
    run: Trained | None,
    evalset: str,
    *,
    posed: Posed | None = None,
    limit: int | None = None,
    max_new_tokens: int = 160,
    device: Device = "auto",
    drawn: Drawn = Drawn(),
) -> Path:
    """The folder of the evaluation, made now unless the same question was answered before. `posed` is as the run was
    trained, unless it is given."""
    items = obtain(desk, evalset)
    base = models.prepare(desk.settings, model, desk.say)
    form, instruction = posed or _posed(run)
    asked = evals.question(
        base,
        items,
        run=run,
        format=form,
        instruction=instruction,
        limit=limit,
        max_new_tokens=max_new_tokens,
        device=device,
        drawn=drawn,
    )
    what, folder = "tuned model" if run else "base model", desk.settings.evals / asked.evaluation_id
    if (folder / "summary.json").is_file():
        desk.say(f"evaluation of the {what} on {evalset} is there already: {folder}")
        return folder
    desk.say(f"evaluating the {what} on {evalset} ({limit or items.manifest.count} items)")
    evals.prepare(desk.settings, asked, folder, Path(run.dir) if run else None)
    with foreground.ledger(desk) as opened:
        with opened.unit_of_work() as connection:
            queued = runs.submit(connection, asked)
            if queued.state in RESUMABLE:
                runs.resume(connection, queued.run_id)
        with following.generating(desk, folder, what) as follow:
            foreground.finish(desk, opened, queued.run_id, follow)
    return folder


def _posed(run: Trained | None, form: ReplyFormat | None = None) -> Posed:
    """As the run was trained; a base model in the format, with the format's own instruction."""
    return runs.posed(run) if run else Posed(form or "numbered", INSTRUCTIONS[form or "numbered"])
