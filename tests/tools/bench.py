"""Compares the time and memory of the step with the least that could make the call, each a whole process."""

import math
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import trustme

from wallarm_fast.api.client import MAX_CONNECTIONS

ROOT = Path(__file__).resolve().parents[2]
STEP = [sys.executable, str(ROOT / "entrypoint.py")]
HEADERS = {"X-WallarmAPI-Token": "token_Qwe12345"}
ROUNDS = 15
TARGET_TO_SCRIPT = 1.0  # times as long as a script with httpx.post
TARGET_MEGABYTES = 30
RUNS = 500
LATENCY = 0.1  # seconds before each answer, with many runs
TARGET_TO_IDEAL = 2.0
HTTPX_POST = """
import os, ssl, httpx
trust = ssl.create_default_context()
trust.load_verify_locations(os.environ["WALLARM_CA_CERT"])
headers = {"X-WallarmAPI-Token": os.environ["WALLARM_API_TOKEN"]}
answer = httpx.post(os.environ["STOP_URL"], headers=headers, verify=trust)
print(answer.json()["body"]["test_record_id"])
"""
CURL = """
curl -sS --cacert "$WALLARM_CA_CERT" -X POST -H "X-WallarmAPI-Token: $WALLARM_API_TOKEN" "$STOP_URL" |
  jq -r .body.test_record_id
"""
PEAK_MEMORY = """  # in a process that starts nothing else
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def time_one_run(folder: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(f"{folder}/ca.pem")
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(f"{folder}/cert.pem")
    with recording(1, f"--tls-cert={folder}/cert.pem", ca_cert=f"{folder}/ca.pem") as environ:
        github = environ | {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": f"{folder}/output"}
        candidates = {
            "the step": (STEP, environ),
            "the step, as on GitHub": (STEP, github),
            "script with httpx.post": ([sys.executable, "-c", HTTPX_POST], environ),
            'python -c "import httpx"': ([sys.executable, "-c", "import httpx"], environ),
        }
        if shutil.which("curl") and shutil.which("jq"):
            candidates["curl | jq"] = (["sh", "-c", CURL], environ)
        rounds = [{name: run(*candidates[name])[0] for name in candidates} for _ in range(ROUNDS)]
        medians = {name: median(times[name] for times in rounds) for name in candidates}
        print(f"One stop over TLS, median of {ROUNDS} (target: {TARGET_TO_SCRIPT} times the script)")
        for name, seconds in medians.items():
            print(f"{name:26}{seconds * 1000:6.0f} ms   the step: {medians['the step'] / seconds:5.2f} times")
        for name in ("the step", "the step, as on GitHub"):
            command, variables = candidates[name]
            megabytes = float(run([sys.executable, "-c", PEAK_MEMORY, *command], variables)[1])
            print(f"{name:26}{megabytes:6.1f} MB at most (target: {TARGET_MEGABYTES})")


def time_many_runs() -> None:
    ideal = math.ceil(RUNS / MAX_CONNECTIONS) * LATENCY
    with recording(RUNS, f"--latency={LATENCY}") as environ:
        seconds, _ = run(STEP, environ)
    print(
        f"{RUNS} runs, each answer after {LATENCY} s: {seconds:.2f} s, {seconds / ideal:.2f} times the ideal"
    )
    print(f"of {ideal:.2f} s with {MAX_CONNECTIONS} connections (target: {TARGET_TO_IDEAL})")


@contextmanager
def recording(runs: int, *options: str, ca_cert: str = "") -> Iterator[dict[str, str]]:
    """Start a simulator that records so many test runs; yields the environment to stop them."""
    command = [sys.executable, "-m", "tests.tools.simulator", "--baselines=5", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            url = simulator.stdout.readline().split()[-1] if simulator.stdout else ""
            trust = ssl.create_default_context(cafile=ca_cert) if ca_cert else True
            api = httpx.Client(base_url=url, headers=HEADERS, verify=trust)
            with api, ThreadPoolExecutor(50) as pool:
                answers = pool.map(lambda _: api.post("/v1/test_run", json={"name": "bench"}), range(runs))
                ids = [str(answer.json()["body"]["id"]) for answer in answers]
            yield {
                "PATH": os.environ["PATH"],
                "WALLARM_API_TOKEN": HEADERS["X-WallarmAPI-Token"],
                "WALLARM_API_HOST": url,
                "WALLARM_CA_CERT": ca_cert,
                "TEST_RUN_ID": ",".join(ids),
                "STOP_URL": f"{url}/v1/test_run/{ids[0]}/action/stop",
            }
        finally:
            simulator.terminate()


def run(command: list[str], environ: Mapping[str, str]) -> tuple[float, str]:
    """Return the seconds that the command takes, and its output."""
    started = time.perf_counter()
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        time_one_run(Path(folder))
    time_many_runs()
