"""Times the step's container from start to exit, one that only imports the HTTP library, and the zipapp."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.e2e.engine import ROOT, STEP_IMAGE, Docker
from tests.tools.simulator import Simulator

_ROUNDS = 20
_TARGET = 1.5


def main(docker: Docker) -> None:
    """Print the medians and their ratios. All take turns, so that they meet the same machine."""
    with Simulator() as simulator, tempfile.TemporaryDirectory() as folder:
        variables = {"WALLARM_API_HOST": simulator.url, "WALLARM_API_TOKEN": simulator.token}
        variables["TEST_RUN_ID"] = str(simulator.state.create_run("bench").id)
        run = [docker.client, "run", "--rm", "--network=host"]
        step = [*run, *(f"--env={name}={value}" for name, value in variables.items()), STEP_IMAGE]
        bare = [*run, STEP_IMAGE, "/opt/wallarm-fast/bin/python", "-c", "import httpx"]
        file = Path(folder, "wallarm-fast.pyz")
        subprocess.run([sys.executable, ROOT / "scripts/zipapp.py", file], check=True)
        zipapp = [sys.executable, "-I", "-S", str(file)]
        environ, commands = {**docker.environ, **variables}, (step, bare, zipapp)
        times = [[_seconds(command, environ) for command in commands] for _ in range(_ROUNDS)]
    step_median, bare_median, zipapp_median = (median(column) for column in zip(*times, strict=True))
    print(f"the step                 {step_median:.3f} s (median of {_ROUNDS})")
    print(f'python -c "import httpx" {bare_median:.3f} s')
    print(f"ratio                    {step_median / bare_median:.2f} (target: at most {_TARGET})")
    print(f"wallarm-fast.pyz         {zipapp_median:.3f} s")
    print(f"ratio to the container   {zipapp_median / step_median:.2f} (target: at most 1)")


def _seconds(command: Sequence[str], environ: Mapping[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=environ, capture_output=True, check=True)
    return time.perf_counter() - start
