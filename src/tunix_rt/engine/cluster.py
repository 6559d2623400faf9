"""A training on several hosts: Ray Train starts a process on each, and this one stays until they have ended.

It is what the launcher sees of the run. A SIGTERM ends it at once while there is nothing to lose, and after that becomes a note
in the attempt's folder, which the first process looks for after each step. It writes down why a host failed. When it ends, Ray
ends the processes it had started. It loads no JAX.
"""

import json
import logging
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import psutil

from tunix_rt import errors, jobs, values
from tunix_rt.jobs import HOST, Device, Events, Host

NOTE = "stop.note"
PASSED_ON = ("HF_HUB_OFFLINE", "TF_CPP_MIN_LOG_LEVEL", "TUNIX_RT_ATTEMPT")  # the last is how what is left of a run is found
SETTINGS = {"RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_COLOR_PREFIX": "0", "RAY_TRAIN_METRICS_ENABLED": "0"}


class HostFailed(Exception):
    """What went wrong on a host: the JSON of an `errors.Mistake`, which no pickle can spoil."""


def run(attempt: Path, hosts: int) -> int:
    """The exit code of the first host's process, or that of the failure, which is in the events then."""
    try:
        return _train(attempt.absolute(), hosts)
    except errors.Mistake as mistake:
        Events(attempt).emit("failed", **mistake.as_dict()["error"])
        return jobs.EXIT_CODES.get(mistake.details.get("reason", ""), 1)


def _train(attempt: Path, hosts: int) -> int:
    job, _ = jobs.read(attempt)
    host = _set_aside(attempt, hosts, getattr(job, "device", "auto"))
    os.environ |= SETTINGS | {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(host.unplaced)}
    try:
        import ray  # noqa: PLC0415  # on the machines of a cluster only
        from ray import train  # noqa: PLC0415
    except ImportError as error:
        raise errors.Missing(
            f"{error}; on every machine of the cluster, in the repository: pip install -e '.[train,ray]'."
        ) from error
    (attempt / NOTE).unlink(missing_ok=True)
    try:
        ray.init(logging_level=logging.WARNING)
        _stop_on_sigterm(attempt)
        return int(_trainer(attempt, hosts, host).fit().return_value)
    except train.WorkerGroupError as error:
        raise _told(error.worker_failures) from error
    except train.ControllerError as error:
        reason = "unplaced" if "StartupTimeout" in type(error.controller_failure).__name__ else "exception"
        raise errors.Failed(f"Ray could not start it: {error.controller_failure}", reason=reason) from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise errors.Failed(f"the Ray cluster was lost: {' '.join(str(error).split())[:300]}", reason="exception") from error
    finally:
        shutil.rmtree(attempt / "ray", ignore_errors=True)


def _trainer(attempt: Path, hosts: int, host: Host) -> Any:
    """Not begun: one process on each host, not tried again by Ray."""
    from ray import train  # noqa: PLC0415
    from ray.train.v2.jax import JaxTrainer  # noqa: PLC0415

    return JaxTrainer(
        _member,
        train_loop_config={"attempt": str(attempt), "began": psutil.Process().create_time()},
        scaling_config=train.ScalingConfig(
            num_workers=hosts,
            use_gpu=host.gpus > 0,
            resources_per_worker={"CPU": host.cpus} | ({"GPU": int(host.gpus)} if host.gpus else {}),
            # Ray Train counts a machine's GPUs from 0 for every process, so no two may share one.
            placement_strategy="STRICT_SPREAD" if host.gpus else "SPREAD",
        ),
        run_config=train.RunConfig(
            name="train",
            storage_path=str(attempt / "ray"),
            failure_config=train.FailureConfig(controller_failure_limit=0, max_preemption_failures=0),
            worker_runtime_env={"env_vars": {name: os.environ[name] for name in PASSED_ON if name in os.environ}},
            logging_config=train.LoggingConfig(log_level="WARNING"),
        ),
    )


def _set_aside(attempt: Path, hosts: int, device: Device) -> Host:
    """What Ray is to set aside on each host; raises what forbids several of them."""
    if device == "tpu":
        raise errors.Invalid(
            "'device' is 'tpu': several TPU hosts are not offered, for Ray has to be told their topology; use cpu or gpu.",
            field="device",
        )
    if "RAY_ADDRESS" not in os.environ or not (attempt / HOST).is_file():
        raise errors.Missing(f"a mesh on {hosts} hosts needs a Ray cluster: start a worker with --launcher ray.", field="mesh")
    host = Host.parse(values.read_json(attempt / HOST), source=HOST)
    if host.gpus % 1:
        raise errors.Invalid(f"the worker's --ray-gpus is {host.gpus}: a host of several takes whole GPUs.", field="gpus")
    return host.model_copy(update={"gpus": 0.0}) if device == "cpu" else host


def _stop_on_sigterm(attempt: Path) -> None:
    """To be called after Ray has set a handler of its own."""
    begun = _changed(attempt)

    def stop(*_: Any) -> None:
        if _changed(attempt) == begun:
            raise SystemExit(128 + signal.SIGTERM)
        (attempt / NOTE).touch()

    signal.signal(signal.SIGTERM, stop)


def _changed(attempt: Path) -> int:
    """When the last step was written down."""
    path = attempt / "metrics.jsonl"
    return path.stat().st_mtime_ns if path.exists() else 0


def _member(asked: dict[str, Any]) -> int:
    """One host's process, from Ray's call to the end of its part of the run."""
    import jax  # noqa: PLC0415  # Ray Train may set what it reads when it is imported
    from ray import train  # noqa: PLC0415
    from ray.train import collective  # noqa: PLC0415

    from tunix_rt.engine import hosts, stopping, work  # noqa: PLC0415

    logging.getLogger().setLevel(logging.WARNING)
    attempt, context = Path(asked["attempt"]), train.get_context()
    if not jax.distributed.is_initialized():  # which Ray Train does for GPUs only
        address = collective.broadcast_from_rank_zero(_address())
        hosts.join(address, context.get_world_size(), context.get_world_rank())
    stopping.stop.follow(attempt / NOTE, asked["began"])
    try:
        return work.run(attempt)
    except work.Known as error:
        raise HostFailed(json.dumps(work.explained(error, attempt).as_dict()["error"])) from error


def _address() -> str:
    """A place of this machine where the others find the first process."""
    import ray.util  # noqa: PLC0415

    with socket.socket() as free:
        free.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"


def _told(failures: dict[int, Exception]) -> errors.Mistake:
    """The failure that says most: where one host fails, the others lose it and fail too."""
    found: list[errors.Failed] = []
    for rank, failure in sorted(failures.items()):
        if isinstance(failure, HostFailed):
            told = json.loads(str(failure))
            found.append(errors.Failed(told["message"], **{"reason": told["code"], **told["details"], "host": rank}))
        else:
            text = " ".join(str(failure).split())[-300:]
            found.append(
                errors.Failed(f"the process on host {rank} ended without a word: {text}", reason="exception", host=rank)
            )
    return min(found, key=lambda one: one.details["reason"] == "exception")
