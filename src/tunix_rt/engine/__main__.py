"""`python -m tunix_rt.engine <attempt dir>`: do the job that folder describes, then exit 0 with `result.json` written."""

import errno
import logging
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from tunix_rt import errors, jobs, values
from tunix_rt.engine import devices, generator, masks, trainer
from tunix_rt.jobs import GenerateJob, Inputs, Job, MaskJob, TrainJob


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tunix_rt.engine <attempt dir>\n")
        return 2
    attempt = Path(arguments[0])
    signal.signal(signal.SIGTERM, _stop)
    logging.basicConfig(level=logging.WARNING)
    try:
        job, inputs = jobs.read(attempt)
        devices.use(job.device, inputs.compile_cache)
        values.write_json(attempt / "environment.json", devices.environment())
        values.write_json(attempt / "result.json", _do(job, inputs, attempt))
    except (errors.Mistake, OSError, ValueError, RuntimeError, MemoryError) as error:
        return _fail(attempt, error)
    jobs.Events(attempt).emit("done")
    return 0


def _do(job: Job, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    match job:
        case TrainJob():
            return trainer.train(job, inputs, attempt)
        case GenerateJob():
            return generator.generate(job, inputs, attempt)
        case MaskJob():
            return masks.prove(job, inputs, attempt)


def _fail(attempt: Path, error: Exception) -> int:
    """Log the whole story; leave one event that says what a person can do."""
    traceback.print_exception(error)
    known = error if isinstance(error, errors.Mistake) else _explained(error)
    try:
        jobs.Events(attempt).emit("failed", **known.as_dict()["error"])
    except OSError:
        sys.stderr.write("the event log could not be written\n")
    return 1


def _explained(error: Exception) -> errors.Mistake:
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        return errors.Failed("the disk is full; free some space and start the run again.", reason="disk_full")
    if "RESOURCE_EXHAUSTED" in text or isinstance(error, MemoryError):
        return errors.Failed(
            "out of memory; lower 'batch.rows' or 'batch.row_tokens' in the training config.", reason="out_of_memory"
        )
    return errors.Failed(f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}", reason="exception")


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
