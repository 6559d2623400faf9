"""What an engine process gets to see of the environment. It works offline and needs no secret, so it is given none to log.

A list of what passes, because nobody can list the names of all secrets.
"""

from collections.abc import Mapping

NAMES = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP", "VIRTUAL_ENV", "HOSTNAME")
) | {"RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"}  # a run on several hosts asks the cluster for them
PREFIXES = (
    *("LC_", "LD_", "PYTHON", "XDG_", "SLURM_", "COVERAGE_", "MALLOC_", "GLIBC_", "OMP_", "KMP_", "MKL_", "OPENBLAS_"),
    *("JAX_", "XLA_", "TF_CPP_", "TPU_", "LIBTPU_", "CUDA", "CUDNN_", "NVIDIA_", "NCCL_", "ROCR_", "HIP_", "HSA_"),
)
DEFAULTS = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""XLA asks for a block of gigabytes every step, half a million small pages to fault in: a seventh of a step on a CPU. With huge
pages it is two thousand. Other C libraries ignore this."""
ALWAYS = {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of `environ` that an engine needs: where programs, libraries and devices are, and how to use them."""
    given = {name: value for name, value in environ.items() if name in NAMES or name.startswith(PREFIXES)}
    return DEFAULTS | given | ALWAYS
