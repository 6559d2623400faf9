"""Engine processes that can be killed and begun again cheaply: forked from a server that has the imports behind it."""

import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tunix_rt.engine.work"])


def begin(attempt: Path, **environment: str) -> BaseProcess:
    """The engine, at work on an attempt folder; its environment is set before JAX looks at it."""
    process = CONTEXT.Process(target=_work, args=(attempt, environment))
    process.start()
    return process


def end(attempt: Path, **environment: str) -> int:
    """Work on the attempt to its end; the exit code."""
    process = begin(attempt, **environment)
    process.join(300)
    assert process.exitcode is not None, "the engine did not end"
    return process.exitcode


def _work(attempt: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with (attempt / "log.txt").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from tunix_rt.engine import work  # noqa: PLC0415  # the fork server has it already

    sys.exit(work.main(attempt))
