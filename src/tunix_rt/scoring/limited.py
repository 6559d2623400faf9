"""Foreign text is graded in a process of its own, which may take 3 seconds and 512 MiB an item.

`grade` starts it, hands it one item after another, and starts another when one does not answer in time or dies: that item is
marked unparseable with the reason, and no other item is touched. As a program (`python -m tunix_rt.scoring.limited`) this is
the child: a scorer with a method `ready` loads what it needs, then memory beyond the limit, files and children are given up,
and then the first item is read.
"""

import contextlib
import importlib
import json
import resource
import selectors
import subprocess
import sys
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import Any, Self

from tunix_rt import errors
from tunix_rt.scoring.scorers.core import Case, Scored

SECONDS = 3.0
MEMORY = 512 << 20
START_SECONDS = 60.0
LONGEST_REPLY = 4 << 20
SCORERS = "tunix_rt.scoring.scorers"


def grade(
    scorer: Any, cases: Iterable[Case], *, seconds: float = SECONDS, memory: int = MEMORY, module: str = SCORERS
) -> Generator[Scored, None, None]:
    """The mark of each case, in order. `module.ADAPTER` reads the scorer in the child from its JSON."""
    with _Child(scorer.model_dump_json(), module, memory) as child:
        for case in cases:
            reply = child.ask(case.model_dump_json().encode() + b"\n", seconds)
            yield _scored(case, reply)


def _scored(case: Case, reply: dict[str, Any]) -> Scored:
    if "refused" in reply:
        details = {"grading": str(reply["refused"])[:200]}
        return Scored(item=case.item, group=case.group, outcome="unparseable", value=0.0, details=details)
    return Scored.parse(reply, source=f"the mark of item {case.item}")


class _Child:
    """A grading process that is replaced when it has to be ended."""

    def __init__(self, spec: str, module: str, memory: int) -> None:
        self._arguments = [sys.executable, "-m", "tunix_rt.scoring.limited", module, spec, str(memory)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._end()

    def ask(self, line: bytes, seconds: float) -> dict[str, Any]:
        process = self._process or self._start()
        try:
            assert process.stdin
            process.stdin.write(line)
            process.stdin.flush()
            reply = _read_line(process, seconds)
        except (BrokenPipeError, EOFError):
            self._end()
            return {"refused": "the grading process died; it ran out of memory or was ended"}
        except TimeoutError:
            self._end()
            return {"refused": f"grading took more than {seconds:g} s"}
        try:
            found: dict[str, Any] = json.loads(reply)
        except ValueError:
            self._end()
            return {"refused": "the grading process gave no mark"}
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._process = process
        try:
            word = _read_line(process, START_SECONDS)
        except (EOFError, TimeoutError) as error:
            self._end()
            raise errors.Failed("the grading process did not start; see `tunix-rt doctor`.") from error
        assert word == b"ready\n"
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe:
                    pipe.close()


def _read_line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """One line; TimeoutError after so many seconds without the whole of it, EOFError when there will be none."""
    assert process.stdout
    collected = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not collected.endswith(b"\n"):
            if len(collected) > LONGEST_REPLY or not selector.select(seconds):
                raise TimeoutError
            part = process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            if not part:
                raise EOFError
            collected += part
    return collected


def main(arguments: list[str]) -> int:
    """The child: scorer module, scorer as JSON, bytes of memory."""
    scorer = importlib.import_module(arguments[0]).ADAPTER.validate_json(arguments[1])
    if ready := getattr(scorer, "ready", None):
        ready()
    memory = int(arguments[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    out.write(b"ready\n")
    out.flush()
    for line in sys.stdin.buffer:
        out.write(_mark(scorer, line) + b"\n")
        out.flush()
    return 0


def _mark(scorer: Any, line: bytes) -> bytes:
    try:
        mark: str = scorer.score(Case.model_validate_json(line)).model_dump_json()
        return mark.encode()
    except MemoryError:
        return b'{"refused": "grading wanted more memory than it may have"}'
    except (ArithmeticError, RecursionError, ValueError) as error:
        return json.dumps({"refused": f"grading failed ({type(error).__name__}: {error})"[:200]}).encode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
