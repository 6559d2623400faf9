"""Compiled steps are kept for the session: many tests train the same tiny shapes."""

from pathlib import Path

import jax
import pytest


@pytest.fixture(scope="session")
def compile_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("xla")


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(compile_cache: Path) -> None:
    jax.config.update("jax_compilation_cache_dir", str(compile_cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
