"""Shows the main job: record, stop, copy, with the simulator in place of the Wallarm cloud.

The step is the real entrypoint.py, which runs as under GitHub's runner.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from tests.tools.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
STEP = [sys.executable, str(ROOT / "entrypoint.py")]


def main() -> None:
    with Simulator(baselines=5, arrival_seconds=2) as simulator, tempfile.TemporaryDirectory() as folder:
        api = httpx.Client(base_url=simulator.url, headers={"X-WallarmAPI-Token": simulator.token})
        with api:
            title("1. The functional tests run: a test run records their requests as baselines")
            run = create(api, name="nightly")
            print(f"test run {run['id']} is recording into test record {run['test_record_id']}")
            refused = api.post("/v1/test_run", json={"name": "copy", "test_record_id": run["test_record_id"]})
            print(
                f"copying it now is refused: HTTP {refused.status_code} {json.dumps(refused.json()['body'])}"
            )

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
            print("Lines with :: are commands to the runner; the first one masks the token in all logs.")
            subprocess.run(STEP, env=environ, check=True)

            title("3. What GitHub gets: outputs")
            found = re.findall(r"(?ms)^(\w+)<<(\S+)\n(.*?)\n\2$", output.read_text())
            outputs = {name: value for name, _, value in found}
            for name, value in outputs.items():
                print(f"{name} = {value}")
            title("4. What GitHub gets: job summary (Markdown)")
            print(summary.read_text().rstrip())

            title("5. A later job copies the test run by the record")
            copy = create(api, name="copy", test_record_id=outputs["test_record_id"])
            print(f"test run {copy['id']} is a copy of test record {copy['test_record_id']}: {copy['state']}")
    print("\nThe demo is done: recorded, stopped, copied.")


def create(api: httpx.Client, **run: str) -> dict[str, object]:
    return dict(api.post("/v1/test_run", json=run).raise_for_status().json()["body"])


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    main()
