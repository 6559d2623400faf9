"""Do the job that an attempt folder describes, and leave `result.json`, or one event that says what went wrong."""

import errno
import logging
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from tunix_rt import errors, jobs, values
from tunix_rt.engine import asking, devices, estimating, exports, generator, hosts, masks, stopping, training
from tunix_rt.jobs import AskJob, EstimateJob, ExportJob, GenerateJob, Inputs, MaskJob, ProbeJob, TrainJob

Known = (errors.Mistake, OSError, ValueError, RuntimeError, MemoryError)
Work = TrainJob | GenerateJob | MaskJob | ExportJob | EstimateJob | AskJob


def main(attempt: Path) -> int:
    """The exit code: 0, one of `jobs.EXIT_CODES`, or 143 after a SIGTERM."""
    signal.signal(signal.SIGTERM, stopping.stop)
    logging.basicConfig(level=logging.WARNING)
    try:
        return run(attempt)
    except Known as error:
        return _fail(attempt, error)


def run(attempt: Path) -> int:
    """The exit code of what ended as it should; raises one of `Known` for the rest."""
    job, inputs = jobs.read(attempt)
    if isinstance(job, ProbeJob):
        raise errors.Invalid(f"{attempt} holds a probe, which the engine does not run.", field="kind")
    devices.use(job.device, inputs.compile_cache)
    with hosts.workplace(attempt) as folder:
        values.write_json(folder / "environment.json", devices.environment())
        try:
            values.write_json(folder / "result.json", _do(job, inputs, folder))
        except stopping.Stopped as stopped:
            jobs.Events(folder).emit("stopped", **stopped.details)
            return stopped.engine_code
        jobs.Events(folder).emit("done")
    return 0


def _do(job: Work, inputs: Inputs, attempt: Path) -> dict[str, Any]:
    match job:
        case TrainJob():
            return training.train(job, inputs, attempt)
        case GenerateJob():
            return generator.generate(job, inputs, attempt)
        case MaskJob():
            return masks.prove(job, inputs, attempt)
        case ExportJob():
            return exports.export(job, inputs, attempt)
        case EstimateJob():
            return estimating.estimate(job, inputs, attempt)
        case AskJob():
            return asking.ask(job, inputs, attempt)


def _fail(attempt: Path, error: Exception) -> int:
    """Log the whole story; leave one event that says what a person can do."""
    traceback.print_exception(error)
    known = explained(error, attempt)
    try:
        jobs.Events(attempt).emit("failed", **known.as_dict()["error"])
    except OSError:
        sys.stderr.write("the event log could not be written\n")
    return jobs.EXIT_CODES.get(known.details.get("reason", ""), 1)


def explained(error: Exception, attempt: Path) -> errors.Mistake:
    """The mistake a person can act on; `details.reason` is the reason the run ends with."""
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        return errors.Failed("the disk is full; free some space and start the run again.", reason="disk_full")
    if "RESOURCE_EXHAUSTED" in text or isinstance(error, MemoryError):
        return errors.Failed(f"out of memory; {jobs.less_memory(attempt)}.", reason="out_of_memory")
    if isinstance(error, errors.Mistake):
        return error
    return errors.Failed(f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}", reason="exception")
