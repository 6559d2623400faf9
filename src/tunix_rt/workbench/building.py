"""Datasets by name, made where a recipe or a selection makes them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tunix_rt import datasets, errors, store
from tunix_rt.datasets import Dataset, Ingested, Manifest
from tunix_rt.workbench import foreground
from tunix_rt.workbench.desk import Desk
from tunix_rt.workbench.indexing import index_words


def obtain(desk: Desk, name: str) -> Dataset:
    """The workspace's dataset of that name; a built-in recipe of that name is built first."""
    folder = desk.settings.datasets / name
    if not (folder / "manifest.json").exists():
        there = {path.parent.name for path in desk.settings.datasets.glob("*/manifest.json")}
        if name not in datasets.builtin_recipes():
            raise errors.NotFound(
                f"no dataset {name!r}.{errors.nearest(name, there | set(datasets.builtin_recipes()))}", dataset=name
            )
        desk.say(f"building dataset {name} from its built-in recipe")
        datasets.build(datasets.recipe(name), folder)
    return datasets.find(desk.settings, name)


def derive(desk: Desk, selection: datasets.Selection, folder: Path) -> Manifest:
    """Make the selection's dataset; parents that are built-in recipes are built first."""
    with pools(desk, selection) as parents, desk.progress(f"selecting {selection.name}") as update:
        return datasets.derive(selection, parents, folder, lambda done, total: update(done, total, "traces"))


@contextmanager
def pools(desk: Desk, selection: datasets.Selection) -> Iterator[list[datasets.Pool]]:
    """The parents; "stored" is what the database holds at this moment."""
    names = {wanted: wanted.partition("@")[0] for wanted in selection.select.parents}
    with ExitStack() as stack:
        connection = None
        if datasets.STORED in names.values():
            connection = stack.enter_context(store.open_store(desk.settings).reading())
        yield [
            datasets.stored_pool(connection, wanted)
            if connection is not None and name == datasets.STORED
            else datasets.pool(obtain(desk, name), wanted)
            for wanted, name in names.items()
        ]


def build(desk: Desk, recipe: str, out: Path | None = None) -> tuple[Manifest, Path]:
    """Make the dataset of a recipe, or of a TOML file that selects from datasets, in the folder that is given back."""
    if datasets.is_selection(recipe):
        selection = datasets.load_selection(Path(recipe))
        place = out or desk.settings.datasets / selection.name
        return derive(desk, selection, place), place
    chosen = datasets.recipe(recipe)
    place = out or desk.settings.datasets / chosen.name
    return datasets.build(chosen, place), place


def ingest(
    desk: Desk,
    file: Path,
    *,
    name: str | None = None,
    format: str = "auto",
    skip_bad: bool = False,
    check: bool = False,
    rejects: Path | None = None,
    licence: str = "unknown",
) -> Ingested:
    """Make a dataset of a file; its words can be searched quickly afterwards."""
    with foreground.ledger(desk) as opened:
        with desk.progress("reading") as update:
            made = datasets.ingest(
                file,
                desk.settings.datasets,
                opened,
                name=name,
                format=format,
                skip_bad=skip_bad,
                check=check,
                rejects=rejects,
                licence=licence,
                update=lambda count: update(count, 0, f"{count} rows"),
            )
        index_words(desk, opened)
    return made
