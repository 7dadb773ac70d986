"""Shows the main job (record, stop, verdict) and a stop that fails, against a simulator of the Wallarm cloud.

The steps are the real entrypoint.py, which runs as under GitHub's runner.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.tools.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
STEP = [sys.executable, str(ROOT / "entrypoint.py")]
VULNERABILITY = {"id": 7, "threat": 70, "code": "xss", "type": "Cross-site scripting"}


def main() -> None:
    with (
        Simulator(ready_delay=1, arrival_seconds=1, test_seconds=3, vulns=[VULNERABILITY]) as simulator,
        httpx.Client(base_url=simulator.url, headers={"X-WallarmAPI-Token": simulator.token}) as api,
        tempfile.TemporaryDirectory() as folder,
    ):
        title("1. The functional tests run: the FAST node records their requests as baselines")
        run = create(api, name="nightly")
        print(f"test run {run['id']} is created, with test record {run['test_record_id']}")
        while not run["ready_for_recording"]:
            time.sleep(0.2)
            run = api.get(f"/v1/test_run/{run['id']}").raise_for_status().json()["body"]
        print("the node is ready; the tests send 5 requests through it")
        for number in range(5):
            httpx.get(f"http://app.example/{number}", proxy=simulator.url).raise_for_status()
        refused = api.post("/v1/test_run", json={"name": "copy", "test_record_id": run["test_record_id"]})
        error = refused.json()["body"]["test_record_id"]["error"]
        print(f"copying the run now is refused: HTTP {refused.status_code}, {error}")

        output, summary = Path(folder, "output"), Path(folder, "summary")
        environ = {
            "PATH": os.environ["PATH"],
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "INPUT_TOKEN": simulator.token,
            "INPUT_TEST_RUN_ID": str(run["id"]),
            "INPUT_API_HOST": simulator.url,
        }
        title("2. The stop step, once no new baseline has arrived for a second")
        print("Lines with :: are commands to the runner; the first one masks the token in all logs.")
        step(environ | {"INPUT_QUIET_PERIOD": "1", "INPUT_MIN_BASELINES": "5"})

        title("3. What GitHub gets: outputs")
        show_outputs(output)
        title("4. What GitHub gets: job summary (Markdown)")
        print(summary.read_text().rstrip())

        title("5. The verdict step: wait for the security tests")
        output.unlink()
        exit_code = step(environ, "verdict")
        print(f"exit code {exit_code}: vulnerabilities were found, so the job fails")
        show_outputs(output)

        title("6. A stop that fails: the token is wrong")
        exit_code = step(environ | {"INPUT_TOKEN": "wrong"})
        print(f"exit code {exit_code}: the token was refused, as the output status says, too")
    print("\nThe demo is done: recorded, stopped, waited for the verdict; then a stop that failed.")


def step(environ: Mapping[str, str], *arguments: str) -> int:
    """Run a step as GitHub's runner would; return its exit code."""
    command = " ".join(["python entrypoint.py", *arguments])
    print(f"{command}   (with INPUT_TOKEN and so on, as the runner sets them)", flush=True)
    return subprocess.run([*STEP, *arguments], env=environ, check=False).returncode


def show_outputs(output: Path) -> None:
    for name, _, value in re.findall(r"(?ms)^(\w+)<<(\S+)\n(.*?)\n\2$", output.read_text()):
        shown = f"JSON, for each run {', '.join(json.loads(value)[0])}" if name == "results" else value
        print(f"{name} = {shown}")


def create(api: httpx.Client, **run: str) -> dict[str, Any]:
    return dict(api.post("/v1/test_run", json=run).raise_for_status().json()["body"])


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    main()
