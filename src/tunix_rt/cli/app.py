"""The command tree's root, and the one place where a mistake becomes an exit code and a sentence."""

import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from tunix_rt import errors
from tunix_rt.cli.console import Surface
from tunix_rt.workbench.foreground import Terminated

Home = Annotated[Path | None, typer.Option(envvar="TUNIX_RT_HOME", help="Workspace folder (default: ~/.tunix-rt).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

app = typer.Typer(
    name="tunix-rt",
    help="Fine-tune a language model to show its work and be right, with evidence a stranger can replay.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "TUNIX_RT", "help_option_names": ["-h", "--help"]},
)


def command(group: typer.Typer, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `function(surface, ...)` as a command that also takes --home and --json, from which the surface is made."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.name != "surface"]
        kind = inspect.Parameter.KEYWORD_ONLY
        shared = [
            inspect.Parameter("home", kind, default=None, annotation=Home),
            inspect.Parameter("as_json", kind, default=False, annotation=Json),
        ]

        @functools.wraps(function)
        def run(*, home: Path | None, as_json: bool, **rest: Any) -> None:
            function(Surface(home, as_json), **rest)

        parameters = [*(p.replace(kind=kind) for p in own), *shared]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        group.command(name)(run)
        return function

    return register


def noun(name: str, about: str) -> typer.Typer:
    """A group of commands about one thing."""
    group = typer.Typer(help=about, no_args_is_help=True)
    app.add_typer(group, name=name)
    return group


def main() -> NoReturn:
    """Entry point. Exit codes: 0 done, 1 a mistake explained, 2 usage, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(standalone_mode=True)
    except errors.Mistake as mistake:
        _report(mistake)
    except KeyboardInterrupt:
        _report(errors.Interrupted("interrupted."))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(0)


def _report(mistake: errors.Mistake) -> NoReturn:
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps(mistake.as_dict(), ensure_ascii=False, default=str) + "\n")
    else:
        sys.stderr.write(f"error: {mistake.message}\n")
    sys.exit(mistake.exit_code)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated
