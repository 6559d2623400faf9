"""What need not be there until a trial is asked for is not loaded."""

import subprocess
import sys


def test_optuna_is_loaded_only_when_it_is_asked() -> None:
    program = "import sys, tunix_rt.cli, tunix_rt.web, tunix_rt.worker, tunix_rt.sweeps; print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
