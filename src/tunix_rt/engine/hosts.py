"""One run in several processes, one on each host: all do the same steps, each on its part of the arrays.

What is read, decided and left behind is the first process's. The others write into a folder of their own that goes with them,
and only the checkpoints are written by all, each its part, where every process can read them.
"""

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from tunix_rt import errors

LOCK = "first.lock"
LOCK_SECONDS = 60.0  # an earlier attempt's processes on other hosts end within seconds of the one that had them started
CARRIED = ("metrics.jsonl", "identity.json")


def join(coordinator: str, count: int, index: int) -> None:
    """Become process `index` of `count`, before JAX has looked at its devices; the first one listens at `coordinator`."""
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from `stopping`
    jax.distributed.initialize(coordinator, count, index)


def first() -> bool:
    return jax.process_index() == 0


def agreed(decide: Callable[[], int]) -> int:
    """What the first process decides, in all of them."""
    if jax.process_count() == 1:
        return decide()
    return int(multihost_utils.broadcast_one_to_all(np.int32(decide() if first() else 0)))


def together(what: str) -> None:
    """Go on when all have come to this place."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def placed(value: jax.Array | np.ndarray, sharding: jax.sharding.Sharding) -> jax.Array:
    """The array that every process has whole, each keeping its part."""
    if sharding.is_fully_addressable or (isinstance(value, jax.Array) and not value.is_fully_addressable):
        moved: jax.Array = jax.device_put(value, sharding)
        return moved
    whole = np.asarray(value)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def whole(value: jax.Array) -> np.ndarray:
    """All of an array, in every process; all have to ask."""
    if value.is_fully_addressable or value.is_fully_replicated:
        return np.asarray(value)
    return np.asarray(multihost_utils.process_allgather(value, tiled=True))


@contextlib.contextmanager
def workplace(attempt: Path) -> Iterator[Path]:
    """The folder to work in: the attempt's for the first process, which holds its lock, and a temporary one for the others,
    with what the attempt has so far and the same checkpoints."""
    if jax.process_count() == 1:
        yield attempt
    elif first():
        with (attempt / LOCK).open("wb") as file:
            _lock(file.fileno(), attempt)
            together("locked")
            yield attempt
    else:
        together("locked")
        with tempfile.TemporaryDirectory(prefix="tunix-rt-") as made:
            own = Path(made)
            for name in CARRIED:
                if (attempt / name).is_file():
                    shutil.copy(attempt / name, own)
            if (attempt / "best").is_dir():
                shutil.copytree(attempt / "best", own / "best")
            (own / "checkpoints").symlink_to(attempt / "checkpoints")
            yield own


def _lock(descriptor: int, attempt: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise errors.Conflict(
                    f"a process of an earlier attempt is still at work in {attempt}; resume the run when it has ended.",
                    dir=str(attempt),
                ) from error
            time.sleep(0.2)
