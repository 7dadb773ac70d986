"""How long the container of the step takes, start to exit, beside one that only imports the HTTP library."""

import statistics
import time

from tests.e2e.engine import STEP_IMAGE, Docker
from tests.simulator import Simulator

_ROUNDS = 20
_TARGET = 1.5
_TOKEN = "token_Qwe12345"


def main(docker: Docker) -> None:
    """Print both medians and their ratio; the rounds alternate, so that both see the same machine."""
    with Simulator(token=_TOKEN) as simulator:
        run_id = simulator.state.create_run("bench").id
        step = [
            *(
                "--network=host",
                f"--env=WALLARM_API_HOST={simulator.url}",
                f"--env=WALLARM_API_TOKEN={_TOKEN}",
            ),
            *(f"--env=TEST_RUN_ID={run_id}", STEP_IMAGE),
        ]
        bare = ["--network=host", STEP_IMAGE, "/opt/stop-recording/bin/python", "-c", "import httpx"]
        times = [(_seconds(docker, step), _seconds(docker, bare)) for _ in range(_ROUNDS)]
    step_median, bare_median = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"the step                 {step_median:.3f} s (median of {_ROUNDS})")
    print(f'python -c "import httpx" {bare_median:.3f} s')
    print(f"ratio                    {step_median / bare_median:.2f} (target: at most {_TARGET})")


def _seconds(docker: Docker, arguments: list[str]) -> float:
    start = time.perf_counter()
    docker("run", "--rm", *arguments)
    return time.perf_counter() - start
