"""`tunix-rt submission`: a finished run as others take it, and what a session has time for. Nothing is uploaded."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from tunix_rt import datasets, evidence, jobs, models, recipes, submission, values
from tunix_rt.cli import configuring, measuring
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.configuring import Options
from tunix_rt.cli.console import Surface, size, table
from tunix_rt.cli.models import exported
from tunix_rt.jobs import Device
from tunix_rt.runs import exports
from tunix_rt.submission import Accelerator, Data, Plan, Subject, hub, kaggle
from tunix_rt.workbench import foreground
from tunix_rt.workbench.building import obtain

group = noun("submission", "A finished run for Kaggle, the Hub or MLflow; what a session has time for.")
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A finished run: id or folder.")]
Config = Annotated[Path | None, typer.Option(help="Training config (TOML) (default: the built-in sft_demo).")]
On = Annotated[str, typer.Option("--on", help="Evaluation set; a built-in recipe of that name is built if needed.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Evaluate on only this many items, spread over the set.")]
Tokens = Annotated[int, typer.Option(min=1, help="Longest answer of an evaluation.")]


@command(group)
def pack(
    surface: Surface,
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="The zip to write (default: <home>/submissions/<run id>.zip).")] = None,
    user: Annotated[str | None, typer.Option(help="Your Kaggle user name: the notebook's owner.")] = None,
    slug: Annotated[str | None, typer.Option(help="The notebook's name on Kaggle (default: of the training config).")] = None,
    accelerator: Annotated[Accelerator, typer.Option(help="What the notebook asks Kaggle for.")] = "none",
    with_data: Annotated[bool, typer.Option("--with-data", help="Include both datasets, for those no recipe makes.")] = False,
) -> None:
    """Pack notebook, config, recipes, evaluation set, manifests, results and logs of an evaluated run into one small zip."""
    found = foreground.trained(surface, run)
    place = kaggle.place(user, slug, found.name, accelerator)
    target = out or surface.settings.home / "submissions" / f"{found.run_id}.zip"
    packed = submission.pack(surface.settings, found, place, target, with_data=with_data)
    data = {
        "run_id": found.run_id,
        "zip": str(target.absolute()),
        "bytes": packed.bytes,
        "files": {entry.name: entry.sha256 for entry in packed.files},
        "evidence_root": packed.root,
        "kernel": f"{place.user}/{place.slug}",
        "inputs": f"{place.user}/{place.inputs}",
        "attach": list(packed.attach),
    }
    lines = [f"{target}: {size(packed.bytes)}, {len(packed.files)} files, of the evidence with root {packed.root[:12]}"]
    if packed.bytes > submission.LIMIT and not with_data:
        large = sorted(packed.files, key=lambda entry: -entry.bytes)[:3]
        named = ", ".join(f"{entry.name} {size(entry.bytes)} unpacked" for entry in large)
        lines.append(f"  more than {size(submission.LIMIT)}; largest: {named}")
    lines.append(f"  notebook {place.user}/{place.slug}, inputs {place.user}/{place.inputs}; to be put into inputs/ by hand:")
    surface.emit(data, "\n".join([*lines, *(f"    {text}" for text in packed.attach)]))


@command(group)
def notebook(
    surface: Surface,
    dataset: Annotated[str, typer.Option(help="Dataset; a built-in recipe of that name is built if needed.")],
    on: On,
    out: Annotated[Path, typer.Option(help="The .ipynb file to write.")],
    config: Config = None,
    limit: Limit = None,
    max_new_tokens: Tokens = 160,
    device: Annotated[Device, typer.Option(help="Where the notebook insists on running.")] = "auto",
) -> None:
    """Write the Kaggle notebook that trains a config on a dataset and evaluates it; the same asked gives the same bytes."""
    chosen = jobs.read_config(config or recipes.path("train", "sft_demo"))
    models.require(surface.settings, chosen.model)
    data = [Data.of(obtain(surface, name).manifest) for name in (dataset, on)]
    asked = {"limit": limit, "max_new_tokens": max_new_tokens, "device": device}
    subject = Subject(config=chosen, trainset=data[0], evalset=data[1], **asked)
    written = submission.notebook(subject)
    values.write_bytes(out, written)
    facts = {"notebook": str(out.absolute()), "bytes": len(written), "sha256": values.sha256(written)}
    surface.emit(facts, f"{out}: {size(len(written))}, trains {chosen.model} by {chosen.name} on {dataset}")


@command(group)
def plan(
    surface: Surface,
    dataset: Annotated[str, typer.Option(help="Dataset; a built-in recipe of that name is built if needed.")],
    on: On,
    config: Config = None,
    model: Annotated[str | None, typer.Option(help="Base model, instead of the config's.")] = None,
    hours: Annotated[float, typer.Option(min=0.0, help="What one session may take.")] = 8.5,
    sessions: Annotated[
        int, typer.Option(min=1, help="How many sessions there are; each goes on where the last one ended.")
    ] = 1,
    margin_minutes: Annotated[float, typer.Option(min=0.0, help="Kept free in each session for exporting.")] = 15.0,
    limit: Limit = None,
    max_new_tokens: Tokens = 160,
    steps: Annotated[int, typer.Option(min=2, help="Optimizer steps to measure; the first one compiles.")] = 4,
    items: Annotated[int, typer.Option(min=1, help="Answers to measure.")] = 60,
    device: Annotated[Device, typer.Option(help="Where to measure; refused if absent.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Training config to write, cut to the steps there is time for.")] = None,
) -> None:
    """Measure a few real steps and answers, and fit training to the hours: how many steps and sessions, and the commands."""
    chosen = configuring.config(surface, Options(config, (dataset,), model))
    models.require(surface.settings, chosen.model)
    asked = measuring.Asked(chosen, dataset, on, limit, max_new_tokens, device)
    made = submission.plan(measuring.measure(surface, asked, steps, items), hours, margin_minutes, sessions)
    fitted = chosen if made.fits else chosen.model_copy(update={"steps": made.steps})
    if out is not None:
        values.write_bytes(out, jobs.config_text(fitted, defaults=True).encode())
    commands = measuring.commands(asked, made, out or config)
    text = describe(made, chosen.name, commands, cut_in=None if made.fits else out)
    surface.emit(
        {**made.model_dump(mode="json"), "commands": commands, "config": str(out) if out else None, "text": text}, text
    )


def describe(made: Plan, name: str, commands: list[str], cut_in: Path | None) -> str:
    found = made.measured
    kept = f"{made.margin_minutes:g} min margin and {found.evaluation_seconds / 60:.1f} min for evaluating both models"
    lines = [
        f"{name} on {found.device}: {found.total_steps} steps of at most {found.step_seconds:.3g} s, "
        f"{found.start_seconds:.0f} s to start, {found.saving_seconds:.2g} s a checkpoint every {found.every_steps} steps",
        f"  a session of {made.hours:g} h keeps {kept} free: {made.steps_a_session} steps in it",
    ]
    if made.fits:
        more = f"; there is time for {made.epochs_that_fit} epochs" if made.epochs_that_fit > found.epochs else ""
        lines.append(f"  the run fits: {made.sessions_needed} of {made.sessions} sessions{more}")
    else:
        lines.append(
            f"  the run does not fit: it needs {made.sessions_needed} sessions, {made.sessions} allowed; "
            f"there is time for {made.steps} of its steps ({100 * made.steps / found.total_steps:.0f} %)"
        )
        lines.append(
            f"  {cut_in} is the config cut to them, its learning-rate schedule too"
            if cut_in
            else f"  allow more with --sessions {made.sessions_needed}, or write the config cut to them with --out FILE"
        )
    return "\n".join([*lines, *(f"  {text}" for text in commands)])


@command(group)
def mlflow(
    surface: Surface,
    run: RunName,
    out: Annotated[Path, typer.Option(help="Folder of the file store; made, or added to.")],
) -> None:
    """Add a finished run to an offline MLflow file store: parameters, every step's metrics, evaluations, artifacts."""
    made = submission.track(surface.settings, foreground.trained(surface, run), out)
    data = {**made._asdict(), "folder": str(made.folder), "store": str(out.absolute())}
    said = "" if made.evaluated else "; it is not evaluated, so there are only training metrics"
    text = f"run {made.run_id} of experiment {made.experiment_id} in {out}: {made.metrics} metrics{said}"
    surface.emit(data, f"{text}\n  cd {out} && MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri .")


@command(group, "hub")
def to_hub(
    surface: Surface,
    run: RunName,
    out: Annotated[Path, typer.Option(help="Folder to write; must be empty or absent.")],
    user: Annotated[str | None, typer.Option(help="Owner on the Hub, for the card's links and the upload commands.")] = None,
    form: Annotated[Literal["adapter", "merged"], typer.Option(help="LoRA matrices for PEFT, or all weights.")] = "adapter",
) -> None:
    """Lay out an evaluated run for the Hub: the model with its card and results, and both datasets with theirs."""
    found = foreground.trained(surface, run)
    gathered = evidence.gather_run(surface.settings, found)
    sources = (jobs.read(Path(found.dir))[1].dataset, datasets.find(surface.settings, gathered.manifest.evalset).path.parent)
    exports.vacant(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as work:
        made = Path(work) / "made"
        exported(surface, found, form, made / hub.MODEL, quality=hub.quality(gathered.facts, user))
        hub.lay_out(gathered.facts, sources, made)
        out.rmdir() if out.exists() else None
        made.rename(out)
    layout = hub.layout(gathered.facts, out, user)
    rows = [(str(folder), "model" if folder.name == hub.MODEL else "dataset") for folder in layout.folders]
    text = [table(rows, ("folder", "what")), "nothing was uploaded; to do it:"]
    text += [f"  {line}" for line in layout.uploads] or ["  give --user NAME, and the commands are shown here"]
    surface.emit({"folders": [str(folder) for folder in layout.folders], "uploads": list(layout.uploads)}, "\n".join(text))
