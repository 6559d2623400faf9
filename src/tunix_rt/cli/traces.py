"""`tunix-rt traces`: the traces this workspace keeps in its database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tunix_rt import errors, formats, store
from tunix_rt.cli.app import command, noun
from tunix_rt.cli.console import Surface, table
from tunix_rt.cli.look import show as told
from tunix_rt.formats import Bad
from tunix_rt.traces import Trace, stored, waiting
from tunix_rt.traces.stored import Entry, Page
from tunix_rt.workbench.indexing import index_words

group = noun("traces", "Traces kept in the workspace's database.")
After = Annotated[str | None, typer.Option(help="Continue after this cursor: the 'next' of the page before.")]
Limit = Annotated[int, typer.Option(min=1, max=stored.LARGEST_PAGE, help="How many to show.")]


@command(group)
def add(
    surface: Surface,
    file: Annotated[Path, typer.Argument(help="Traces in any format that `data ingest` reads.")],
    format: Annotated[str, typer.Option(help=f"One of: auto, {', '.join(formats.IMPORTS)}, or a plug-in's.")] = "auto",
) -> None:
    """Keep the traces of a file. If any line is bad, every bad line is listed and nothing is kept."""
    reader = formats.Reader(file, None if format == "auto" else formats.named(format))
    bad: list[Bad] = []
    opened = store.open_store(surface.settings)
    with surface.progress("reading") as update:

        def good() -> Iterator[Trace]:
            for number, found in enumerate(reader, start=1):
                if isinstance(found, Bad):
                    bad.append(found)
                elif not bad:
                    yield found[1]
                if number % 1_000 == 0:
                    update(number, 0, f"{number} rows")

        with waiting.beside(map(Entry.of, good()), surface.settings.home) as entries:
            if bad:
                raise _refused(file, bad)
            with opened.unit_of_work() as connection:
                made = stored.add_entries(connection, entries, "cli", unique="content")
    index_words(surface, opened)
    surface.emit({**made._asdict(), "rejected": []}, f"added {made.added}, already here {made.duplicates}")


def _refused(file: Path, bad: list[Bad]) -> errors.Invalid:
    lines = [f"  line {one.line}: {one.code}: {one.message}" for one in bad[:20]]
    lines += [f"  and {len(bad) - 20} more"] if len(bad) > 20 else []
    text = f"{file}: {len(bad)} bad line{'s' * (len(bad) > 1)}, so nothing was kept."
    return errors.Invalid("\n".join([text, *lines]), rejected=[one.report() for one in bad])


@command(group, "list")
def list_traces(
    surface: Surface,
    source: Annotated[str | None, typer.Option(help="Only those that came from here.")] = None,
    limit: Limit = 20,
    after: After = None,
) -> None:
    """The newest traces."""
    with store.open_store(surface.settings).reading() as connection:
        found = stored.listed(connection, source=source, limit=limit, after=after)
    _emit(surface, found, "no traces here yet; `tunix-rt traces add FILE` or `tunix-rt data ingest FILE` brings some")


@command(group)
def search(
    surface: Surface,
    text: Annotated[str, typer.Argument(help='Words that must all occur; "quoted words" stand side by side.')],
    limit: Limit = 20,
    after: After = None,
) -> None:
    """The newest traces that hold all the words."""
    with store.open_store(surface.settings).reading() as connection:
        found = stored.search(connection, text, limit=limit, after=after)
    _emit(surface, found, "no trace holds all of these words")


@command(group)
def show(surface: Surface, trace: Annotated[str, typer.Argument(help="Trace id, or its beginning.")]) -> None:
    """One trace with its steps and claims."""
    with store.open_store(surface.settings).reading() as connection:
        found = stored.get(connection, trace)
    surface.emit(found.document(), f"{told(found.trace)}\n  from {found.source}, {found.created:%Y-%m-%d %H:%M:%S} UTC")


def _emit(surface: Surface, page: Page, nothing: str) -> None:
    rows = [
        (row.id[:12], f"{row.created:%Y-%m-%d %H:%M}", row.source, str(len(row.trace.steps)), _short(row.trace.prompt, 70),
         _short(row.trace.final_answer, 24))
        for row in page.data
    ]  # fmt: skip
    text = table(rows, ("trace", "added (UTC)", "source", "steps", "prompt", "answer")) if rows else nothing
    text += f"\nmore: --after {page.next}" if page.next else ""
    surface.emit({"data": [row.document() for row in page.data], "next": page.next}, text)


def _short(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
