"""`tunix-rt rescore --scorer judge`: which model judges, and how its verdicts and their agreement with the rules are told."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import typer

from tunix_rt import evals, models, runs
from tunix_rt.cli.console import Surface, interval, percent
from tunix_rt.evals import Generate, Rescored, local_judges, rescoring
from tunix_rt.jobs import Device
from tunix_rt.scoring.scorers import Judge


class Asked(NamedTuple):
    model: str | None
    url: str | None
    seconds: float
    parallel: int
    device: Device


def judged(surface: Surface, folder: Path, asked: Asked, options: Mapping[str, str]) -> tuple[Rescored, Path]:
    """No model judges unless it is named."""
    if asked.model is None:
        raise typer.BadParameter("name the model that judges", param_hint="--judge-model")
    judge, generate = _remote(surface, asked, options) if asked.url else _local(surface, folder, asked, options)
    with surface.progress("judging") as update:
        return evals.judge(surface.settings, folder, judge, generate, lambda done, of: update(done, of, "items"))


def _remote(surface: Surface, asked: Asked, options: Mapping[str, str]) -> tuple[Judge, Generate]:
    from tunix_rt.evals import endpoints  # noqa: PLC0415  # an HTTP client that no other command needs

    key = surface.settings.judge_key
    about = {**options, "model": asked.model, "endpoint": endpoints.address(str(asked.url), key)}
    judge = Judge.parse(about, source="scorer 'judge'")
    return judge, endpoints.asking(judge, key, endpoints.Connection(seconds=asked.seconds, parallel=asked.parallel))


def _local(surface: Surface, folder: Path, asked: Asked, options: Mapping[str, str]) -> tuple[Judge, Generate]:
    name = str(asked.model)
    run = None if name in models.known(surface.settings) else runs.find(surface.settings, name)
    base = models.prepare(surface.settings, run.model if run else name, surface.say)
    judge = local_judges.named(base, run, **options)
    place = rescoring.place(folder, judge) / "engine"
    return judge, local_judges.asking(surface.settings, judge, base, run, place, asked.device)


def described(made: Rescored) -> list[str]:
    """What was judged by whom, what was not, and how far the judge and each rule agree."""
    low, high = made.measures["accuracy_if_unjudged_wrong"], made.measures["accuracy_if_unjudged_right"]
    names = ", ".join(f"{name} ({count})" for name, count in made.measures["answered_by"].items())
    lines = [f"  {made.unjudged} unjudged: with them between {percent(low)} and {percent(high)}; judged by {names}"]
    for rule, found in made.measures["agreement"].items():
        if found is not None:
            kappa = "undefined" if found["kappa"] is None else f"{found['kappa']:.2f} {_bare(found['kappa_ci95'])}"
            told = f"{percent(found['share'])} {interval(found['ci95'])} of {found['n']}, kappa {kappa}"
            lines.append(f"  agrees with {rule}: {told}")
    return lines


def _bare(pair: tuple[float, float]) -> str:
    return f"[{pair[0]:.2f}, {pair[1]:.2f}]"
