"""Shows the main job (record, stop, copy) and a stop that fails, against a simulator of the Wallarm cloud.

The step is the real entrypoint.py, which runs as under GitHub's runner.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.tools.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
STEP = [sys.executable, str(ROOT / "entrypoint.py")]


def main() -> None:
    with (
        Simulator(ready_delay=1, arrival_seconds=1, test_seconds=2) as simulator,
        httpx.Client(base_url=simulator.url, headers={"X-WallarmAPI-Token": simulator.token}) as api,
        tempfile.TemporaryDirectory() as folder,
    ):
        title("1. The functional tests run: the FAST node records their requests as baselines")
        run = create(api, name="nightly")
        print(f"test run {run['id']} is created, with test record {run['test_record_id']}")
        wait_until(api, run, lambda run: run["ready_for_recording"])
        print("the node is ready; the tests send 5 requests through it")
        for number in range(5):
            api.get(f"/node/{number}")
        refused = api.post("/v1/test_run", json={"name": "copy", "test_record_id": run["test_record_id"]})
        error = refused.json()["body"]["test_record_id"]["error"]
        print(f"copying the run now is refused: HTTP {refused.status_code}, {error}")

        title("2. The step: stop once no new baseline has arrived for a second")
        output, summary = Path(folder, "output"), Path(folder, "summary")
        environ = {
            "PATH": os.environ["PATH"],
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "INPUT_TOKEN": simulator.token,
            "INPUT_TEST_RUN_ID": str(run["id"]),
            "INPUT_API_HOST": simulator.url,
            "INPUT_QUIET_PERIOD": "1",
            "INPUT_MIN_BASELINES": "5",
        }
        print("python entrypoint.py   (with INPUT_TOKEN, INPUT_TEST_RUN_ID ... as the runner sets them)")
        print(
            "Lines with :: are commands to the runner; the first one masks the token in all logs.", flush=True
        )
        subprocess.run(STEP, env=environ, check=True)

        title("3. What GitHub gets: outputs")
        found = re.findall(r"(?ms)^(\w+)<<(\S+)\n(.*?)\n\2$", output.read_text())
        outputs = {name: value for name, _, value in found}
        fields = ", ".join(json.loads(outputs["results"])[0])
        for name, value in outputs.items():
            print(f"{name} = {value}" if name != "results" else f"results: JSON, for each run {fields}")
        title("4. What GitHub gets: job summary (Markdown)")
        print(summary.read_text().rstrip())

        title("5. A later job copies the test run, once its security tests have ended")
        ended = wait_until(api, run, lambda run: run["state"] not in {"cloning", "running"})
        print(f"test run {ended['id']}: {ended['state']}")
        copy = create(api, name="copy", test_record_id=outputs["test_record_id"])
        print(f"test run {copy['id']} is created from test record {copy['test_record_id']}")

        title("6. A stop that fails: the token is wrong")
        failed = subprocess.run(
            STEP, env=environ | {"INPUT_TOKEN": "wrong"}, stdout=subprocess.PIPE, text=True, check=False
        )
        print("\n".join(line for line in failed.stdout.splitlines() if line.startswith("::error")))
        print(f"exit code {failed.returncode}")
    print("\nThe demo is done: recorded, stopped, copied; then a stop that failed.")


def create(api: httpx.Client, **run: str) -> dict[str, Any]:
    return dict(api.post("/v1/test_run", json=run).raise_for_status().json()["body"])


def wait_until(
    api: httpx.Client, run: dict[str, Any], condition: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Poll the test run until the condition holds; return it as it is then."""
    while not condition(run):
        time.sleep(0.2)
        run = api.get(f"/v1/test_run/{run['id']}").raise_for_status().json()["body"]
    return run


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    main()
