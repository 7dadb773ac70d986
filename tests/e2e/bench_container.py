"""Times the container of the step, from start to exit, and one that only imports the HTTP library."""

import time
from statistics import median

from tests.e2e.engine import STEP_IMAGE, Docker
from tests.tools.simulator import Simulator

_ROUNDS = 20
_TARGET = 1.5


def main(docker: Docker) -> None:
    """Print both medians and their ratio. The two take turns, so that both meet the same machine."""
    with Simulator() as simulator:
        variables = {"WALLARM_API_HOST": simulator.url, "WALLARM_API_TOKEN": simulator.token}
        variables["TEST_RUN_ID"] = str(simulator.state.create_run("bench").id)
        step = [*(f"--env={name}={value}" for name, value in variables.items()), STEP_IMAGE]
        bare = [STEP_IMAGE, "/opt/wallarm-fast/bin/python", "-c", "import httpx"]
        times = [(_seconds(docker, step), _seconds(docker, bare)) for _ in range(_ROUNDS)]
    step_median, bare_median = (median(column) for column in zip(*times, strict=True))
    print(f"the step                 {step_median:.3f} s (median of {_ROUNDS})")
    print(f'python -c "import httpx" {bare_median:.3f} s')
    print(f"ratio                    {step_median / bare_median:.2f} (target: at most {_TARGET})")


def _seconds(docker: Docker, arguments: list[str]) -> float:
    start = time.perf_counter()
    docker("run", "--rm", "--network=host", *arguments)
    return time.perf_counter() - start
