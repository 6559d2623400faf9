"""Sixty texts that try to be more than text, and a workspace that holds them wherever a person or a model may write."""

from pathlib import Path

import filled

from tunix_rt import datasets, registry, runs, store
from tunix_rt.runs import ProbeSpec
from tunix_rt.settings import Settings
from tunix_rt.traces import Step, Trace, stored
from tunix_rt.values import write_jsonl
from tunix_rt.worker import Worker

ACT = "window.ran=1,alert(1)"
AWAY = "https://elsewhere.example/x"
_TAGS = [
    f"<script>{ACT}</script>", f"<script src={AWAY}></script>", f"<img src=x onerror={ACT}>", f"<img src={AWAY}>",
    f"<svg onload={ACT}>", f"<svg><script>{ACT}</script></svg>", f"<body onload={ACT}>", f"<iframe src=javascript:{ACT}>",
    f"<iframe srcdoc='<script>{ACT}</script>'>", f"<a href=javascript:{ACT}>x</a>", f"<form action={AWAY}><input autofocus>",
    f"<input autofocus onfocus={ACT}>", f"<details open ontoggle={ACT}>", f"<video src=x onerror={ACT}>",
    f"<audio src={AWAY}>", f"<object data=javascript:{ACT}>", f"<embed src=javascript:{ACT}>",
    f"<link rel=stylesheet href={AWAY}>",
    f"<style>@import '{AWAY}'</style>", f"<meta http-equiv=refresh content='0;url={AWAY}'>", f"<base href={AWAY}>",
    f"<math><mtext></mtext><script>{ACT}</script></math>", f"<template><script>{ACT}</script></template>",
    f"<noscript><img src=x onerror={ACT}></noscript>", f"<marquee onstart={ACT}>", f"<button onclick={ACT} autofocus>x",
    f"<select onfocus={ACT} autofocus>", f"<table background={AWAY}>", f"<div style=background:url({AWAY})>",
    f"<loss-chart><script>{ACT}</script></loss-chart>",
]  # fmt: skip
_BREAKS = ['"', "'", "`", '">', "'>", "--><!-- -->", "</textarea>", "</title>", "</script>", "</pre>"]
_WORDS = [
    f"javascript:{ACT}", f"JaVaScRiPt:{ACT}", f"data:text/html,<script>{ACT}</script>", "{{ 7 * 7 }}", "{% include 'x' %}",
    "${7*7}", "#{7*7}", "&lt;script&gt;", "&#60;script&#62;", "\u202e<script>", "<scr<script>ipt>", "<<script>",
    "<script\x0b>", "\ufeff<script>", "%3Cscript%3E", "\\u003cscript\\u003e", "]]><script>", "<!--<script>", "<?xml?>",
    "=HYPERLINK(1)",
]  # fmt: skip
PAYLOADS = [*_TAGS, *(f"{mark} autofocus onfocus={ACT} x={mark}<img src=x onerror={ACT}>" for mark in _BREAKS), *_WORDS]


class Said(filled.Recorded):
    """The model answers each item with one of the texts, and the log repeats them all."""

    def launch(self, handle: filled.Handle, *, timeout: float | None) -> None:
        super().launch(handle, timeout=timeout)
        (handle.folder / "log.txt").write_text("\n".join(PAYLOADS) + "\n")
        path = handle.folder / "generations.jsonl"
        if path.exists():
            rows = [row for _, row in filled.values.read_jsonl(path)]
            for row, text in zip(rows, PAYLOADS, strict=False):
                row["output"] = f"1. {text}\nAnswer: {text}"
            write_jsonl(path, rows)


def trace(text: str) -> Trace:
    steps = (Step(i=1, type=text[:64], content=text), Step(i=2, type="compute", content=f"2 + 2 = 5 {text}"))
    return Trace(prompt=text, steps=steps, final_answer=text, meta={text: text})


def fill(settings: Settings) -> dict[str, str]:
    """Returns what pages are asked for by."""
    for name in ("tiny-sums", "tiny-sums-eval"):
        recipe = datasets.recipe(name).model_copy(update={"description": " ".join(PAYLOADS), "licence": PAYLOADS[2]})
        datasets.build(recipe, settings.datasets / name)
    filled.models.prepare(settings, "tiny")
    opened = store.open_store(settings)
    worker = Worker(settings, opened, launcher=Said())
    with opened.unit_of_work() as connection:
        rows = [stored.add(connection, trace(text), text[:64])[0] for text in PAYLOADS]
    made = filled.run(settings, opened, worker, runs.TrainSpec(config=filled.config(PAYLOADS[0]), dataset="tiny-sums"))
    base = filled.run(settings, opened, worker, runs.EvalSpec(model="tiny", evalset="tiny-sums-eval"))
    tuned = filled.tuned(settings, made) | {"tuned_by": PAYLOADS[2]}
    other = filled.run(settings, opened, worker, runs.EvalSpec(model="tiny", evalset="tiny-sums-eval", **tuned))
    failed = filled.run(settings, opened, worker, ProbeSpec(how="exception"))
    trained, reason = runs.load(made.dir(settings)), " ".join(PAYLOADS)[:1_000]
    admission = registry.admit(settings, trained, None, reason, forced=True)
    content = registry.keep(settings, trained)
    with opened.unit_of_work() as connection:
        registry.record(connection, settings, "bad", content, admission, who=PAYLOADS[0][:64], reason=reason)
    worker.close()
    opened.close()
    ids = {"run": made.run_id, "failed": failed.run_id, "trace": rows[0].id, "second": rows[1].id}
    return ids | {"base": Path(base.folder).name, "tuned": Path(other.folder).name}
