"""`tunix-rt train --dry-run`: what a training would cost, found out by the engine without training."""

from typing import Any

from tunix_rt import jobs, models, runs, values
from tunix_rt.cli.console import Surface, percent, size
from tunix_rt.jobs import EstimateJob
from tunix_rt.launchers import local
from tunix_rt.runs import TrainSpec
from tunix_rt.workbench.following import remaining
from tunix_rt.worker import work


def estimate(surface: Surface, asked: TrainSpec) -> None:
    """Validate everything, tokenise, plan and estimate; a mistake that training would meet is met here."""
    found = facts(surface, asked)
    surface.emit({**found, "dry_run": True, "config_digest": asked.config.digest}, describe(found, asked))


def facts(surface: Surface, asked: TrainSpec) -> dict[str, Any]:
    """What the engine finds out: steps, tokens, memory, time."""
    model = models.prepare(surface.settings, asked.config.model, surface.say)
    resolved = runs.resolve(surface.settings, asked)
    assert isinstance(resolved, TrainSpec)
    given = resolved.model_dump(exclude={"kind", "config", "evaluate", "group", "mesh"})
    job = EstimateJob(config=resolved.config, mesh=resolved.mesh, **given)
    folder = surface.settings.home / "estimates" / job.digest[:16]
    (folder / "result.json").unlink(missing_ok=True)
    jobs.write(folder, job, work.training_inputs(surface.settings, resolved, model.folder))
    local.run(folder)
    return dict(values.read_json(folder / "result.json"))


def describe(facts: dict[str, Any], asked: TrainSpec) -> str:
    rows = f"{facts['accumulation']} x {facts['rows']} rows of {facts['row_tokens']} tokens"
    kinds = ("truncated", "dropped", "held_out_truncated", "held_out_dropped")
    left = [f"{facts[key]} traces {key.replace('held_out_', 'held out ')}" for key in kinds if facts[key]]
    lines = [
        f"{asked.config.name}: {facts['steps']} steps of {rows} on {facts['device']}; nothing was trained",
        f"  data     {facts['examples']} examples, {facts['tokens']:,} tokens, {facts['trained_tokens']:,} trained, "
        f"{facts['shared_tokens']:,} shared, padding {percent(facts['padding_share'])}{', ' + ', '.join(left) if left else ''}",
        f"  model    {facts['parameters']:,} parameters, {facts['trained_parameters']:,} trained",
        f"  memory   about {size(facts['memory_bytes'])}{' on each device' if facts['devices'] > 1 else ''} at the peak",
        f"  time     about {facts['step_seconds']:.2g} s a step, {remaining(facts['seconds'])} in all, evaluation left out "
        f"(matrix products reach {facts['matmul_flops_per_second'] / 1e9:.0f} GFLOP/s here)",
    ]
    return "\n".join(lines)
