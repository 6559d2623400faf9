"""The README's pictures, from the workspace of a finished demo: `make screenshots HOME_OF_DEMO=DIR`.

The demo's own traces and what its tuned model answered are kept in the database of a copy first, so that the list of traces
shows right and wrong reasoning; nothing in the demo's workspace is changed.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browsing import Served, Watched, chromium

from tunix_rt import comparisons, store, traces
from tunix_rt.settings import Settings
from tunix_rt.traces import stored
from tunix_rt.web.evaluations import as_trace
from tunix_rt.web.runs import summaries

OUT = Path(__file__).parents[2] / "docs" / "images"
LEFT = shutil.ignore_patterns("*.safetensors", "cache", "checkpoints", "token", "servers", "login-codes", "audit*", "*.lock")


def filled(settings: Settings) -> dict[str, str]:
    """Keeps the traces; returns the id of the newest run that was evaluated."""
    tuned = next(found for found in summaries(settings) if found.run_id)
    answers = comparisons.load(settings.evals / tuned.evaluation_id)
    said = [as_trace(score, one) for score, one in zip(answers.scores, answers.predictions, strict=True)]
    opened = store.open_store(settings)
    with opened.unit_of_work() as connection:
        for path in sorted(settings.datasets.glob("dev-*/dataset.jsonl")):
            stored.add_many(connection, traces.read(path), "recipe", unique="content")
        stored.add_many(connection, filter(None, said), "sft_demo", unique="content")
    opened.close()
    return {"run": str(tuned.run_id)}


@contextmanager
def shown(demo: Path) -> Iterator[tuple[Watched, dict[str, str]]]:
    """A browser over a filled copy of the demo's workspace, and the ids of what is worth a look."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "workspace"
        shutil.copytree(demo, home, ignore=LEFT)
        settings = Settings(home=home)
        ids = filled(settings)
        served = Served(settings)
        with chromium() as browser:
            watched = Watched(browser, served)
            yield watched, ids
            watched.context.close()
        served.stop()
        assert watched.troubles == [], watched.troubles


def main(demo: Path) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with shown(demo) as (watched, ids):
        for name, theme, address in (
            ("traces", "light", "/traces?source=sft_demo"),
            ("run", "dark", f"/runs/{ids['run']}"),
            ("compare", "light", f"/compare/items?run={ids['run']}&show=fixed"),
            ("evidence", "light", f"/evidence/{ids['run']}?depth=1"),
        ):
            watched.page.set_viewport_size({"width": 1200, "height": 720})
            watched.page.emulate_media(color_scheme=theme)
            watched.goto(address).wait_for_timeout(300)
            watched.page.screenshot(path=OUT / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
