"""How long the whole step takes, and how much memory, beside the least that could do the call.

One test run is stopped at a local TLS server that runs in a process of its own. Every candidate is a whole
process, started in turn with the others, so that all meet the same machine. Prints medians and ratios.
"""

import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import trustme

ROOT = Path(__file__).parent.parent
ROUNDS = 15
TOKEN = "token_Qwe12345"
HTTPX_POST = """
import os, ssl, httpx
trust = ssl.create_default_context()
trust.load_verify_locations(os.environ["STOP_RECORDING_CA_CERT"])
answer = httpx.post(
    os.environ["STOP_URL"], headers={"X-WallarmAPI-Token": os.environ["WALLARM_API_TOKEN"]}, verify=trust
)
print(answer.json()["body"]["test_record_id"])
"""
CURL = (
    'curl -sS --cacert "$STOP_RECORDING_CA_CERT" -X POST '
    '-H "X-WallarmAPI-Token: $WALLARM_API_TOKEN" "$STOP_URL" | jq -r .body.test_record_id'
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        simulator, environ = start_simulator(Path(folder))
        try:
            compare(environ, Path(folder))
        finally:
            simulator.terminate()
            simulator.wait()


def start_simulator(folder: Path) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """Start the simulator with TLS; returns it and the environment that the candidates need."""
    ca = trustme.CA()
    files = {name: folder / name for name in ("ca.pem", "cert.pem", "key.pem", "url")}
    certificate = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(str(files["ca.pem"]))
    certificate.cert_chain_pems[0].write_to_path(str(files["cert.pem"]))
    certificate.private_key_pem.write_to_path(str(files["key.pem"]))
    command = [sys.executable, "-m", "tests.simulator", "--port", "0", "--token", TOKEN, "--baselines", "5"]
    command += ["--tls-cert", str(files["cert.pem"]), "--tls-key", str(files["key.pem"])]
    command += ["--url-file", str(files["url"])]
    simulator = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not files["url"].exists() or not files["url"].read_text():
        if simulator.poll() is not None:
            raise SystemExit("the simulator did not start")
        time.sleep(0.05)
    url = files["url"].read_text().strip()
    environ = {
        "PATH": os.environ["PATH"],
        "WALLARM_API_TOKEN": TOKEN,
        "WALLARM_API_HOST": url,
        "STOP_RECORDING_CA_CERT": str(files["ca.pem"]),
    }
    trust = ssl.create_default_context(cafile=str(files["ca.pem"]))
    httpx.post(
        f"{url}/v1/test_run", headers={"X-WallarmAPI-Token": TOKEN}, json={"name": "bench"}, verify=trust
    ).raise_for_status()
    return simulator, {**environ, "TEST_RUN_ID": "5080", "STOP_URL": f"{url}/v1/test_run/5080/action/stop"}


def compare(environ: dict[str, str], folder: Path) -> None:
    output = folder / "output"
    output.touch()
    step = [sys.executable, str(ROOT / "entrypoint.py")]
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }
    candidates: dict[str, tuple[list[str], dict[str, str]]] = {
        "the step": (step, {}),
        "the step, as on GitHub": (step, github),
        "script with httpx.post": ([sys.executable, "-c", HTTPX_POST], {}),
        'python -c "import httpx"': ([sys.executable, "-c", "import httpx"], {}),
    }
    if shutil.which("curl") and shutil.which("jq"):
        candidates["curl | jq"] = (["sh", "-c", CURL], {})
    else:
        print("curl | jq is left out: not installed")
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, (command, more) in candidates.items():
            started = time.perf_counter()
            subprocess.run(command, env={**environ, **more}, check=True, capture_output=True, cwd=folder)
            seconds[name].append(time.perf_counter() - started)
    step_median = statistics.median(seconds["the step"])
    print(f"median of {ROUNDS} whole processes, one stop over TLS on this machine")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:28}{median * 1000:7.0f} ms   the step takes {step_median / median:5.2f} times as long")
    for name, more in (("the step", {}), ("the step, as on GitHub", github)):
        print(f"{name:28}{peak_memory(step, {**environ, **more}, folder):7.1f} MB at most")


def peak_memory(command: list[str], environ: dict[str, str], folder: Path) -> float:
    """The peak resident memory of the command, in MB, measured in a process that starts nothing else."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    measured = subprocess.run(
        [sys.executable, "-c", code, *command], env=environ, check=True, capture_output=True, cwd=folder
    )
    return int(measured.stdout) / 1024


if __name__ == "__main__":
    main()
