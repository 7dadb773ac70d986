"""Shows a job (start, tests, stop, verdict) and a start that fails, against a simulator of the Wallarm cloud.

The steps are the real entrypoint.py, which runs as under GitHub's runner.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.tools.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
STEP = [sys.executable, str(ROOT / "entrypoint.py")]
VULNERABILITY = {"id": 7, "threat": 70, "code": "xss", "type": "Cross-site scripting"}


def main() -> None:
    with (
        Simulator(ready_delay=3, arrival_seconds=1, test_seconds=3, vulns=[VULNERABILITY]) as simulator,
        tempfile.TemporaryDirectory() as folder,
    ):
        runner = Runner(Path(folder), {"INPUT_TOKEN": simulator.token, "INPUT_API_HOST": simulator.url})
        title("1. The start step: create a test run, wait until the FAST node records")
        print("Lines with :: are commands to the runner; the first one masks the token in all logs.")
        runner.step("start")

        title("2. The functional tests: five requests through the FAST node")
        for number in range(5):
            url = f"http://app.example/{number}"
            httpx.get(url, proxy=simulator.url).raise_for_status()
            print(f"GET {url}")

        title("3. The stop step, once no new baseline has arrived for a second")
        runner.step("stop", INPUT_QUIET_PERIOD="1", INPUT_MIN_BASELINES="5")
        print("\nThe job summary (Markdown):\n" + runner.summary.read_text().rstrip())

        title("4. The verdict step: wait for the security tests, which find a vulnerability")
        runner.step("verdict")

        title("5. A start that fails: no container of the FAST node runs")
        simulator.state.rules.node_active = False
        runner.step("start", INPUT_TIMEOUT="4")
    print("\nThe demo is done: started, tested, stopped, waited for the verdict; then a start that failed.")


class Runner:
    """Runs steps one after the other, as a job on GitHub does, and shows what it gets from them."""

    def __init__(self, folder: Path, inputs: Mapping[str, str]) -> None:
        self.files = [folder / name for name in ("output", "env", "summary")]
        self.output, self.env, self.summary = self.files
        names = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY")
        files = dict(zip(names, map(str, self.files), strict=True))
        self._environ = {"PATH": os.environ["PATH"], "GITHUB_ACTIONS": "true", **files, **inputs}

    def step(self, name: str, **inputs: str) -> None:
        for file in self.files:
            file.write_text("")
        print(
            f"python entrypoint.py {name}   (with INPUT_TOKEN and so on, as the runner sets them)", flush=True
        )
        done = subprocess.run([*STEP, name], env=self._environ | inputs, check=False)
        print(f"exit code {done.returncode}" + (", so the job fails" if done.returncode else ""))
        print("\nThe outputs:")
        for output, value in read(self.output).items():
            shown = f"JSON, for each run {', '.join(json.loads(value)[0])}" if output == "results" else value
            print(f"{output} = {shown}")
        self._environ |= read(self.env)  # TEST_RUN_ID, which later steps get


def read(file: Path) -> dict[str, str]:
    """Return what a step has written for the runner."""
    found = re.findall(r"(?ms)^(\w+)<<(\S+)\n(.*?)\n\2$", file.read_text())
    return {name: value for name, _, value in found}


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    main()
