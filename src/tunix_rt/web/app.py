"""The service with its pages: the app of `api`, and beside its routes those of every page."""

from typing import Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount

from tunix_rt import api
from tunix_rt.settings import Settings
from tunix_rt.web import (
    assets,
    building,
    comparing,
    datasets,
    evaluations,
    evidence,
    examining,
    intake,
    mistakes,
    models,
    overview,
    promoting,
    registered,
    run_files,
    run_form,
    runs,
    sweeps,
    trace_form,
    traces,
)
from tunix_rt.web.policy import PAGES


def make(settings: Settings, **options: Any) -> FastAPI:
    """The service over one workspace, as `api.make` has it, with its pages."""
    return api.make(settings, pages=api.Pages(routes(), PAGES, mistakes.page), **options)


def routes() -> tuple[BaseRoute, ...]:
    """Fixed addresses come before those that hold a name."""
    modules = (
        overview, trace_form, traces, intake, building, datasets, examining, run_form, runs, run_files, evaluations, comparing,
        sweeps, evidence, models, promoting, registered,
    )  # fmt: skip
    found = [route for module in modules for route in module.router.routes]
    return (*sorted(found, key=lambda route: "{" in str(getattr(route, "path", ""))), Mount("/static", assets.serve))
