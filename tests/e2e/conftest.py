"""What the end-to-end tests share: the engine, the simulator with TLS, the step in its container."""

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.conftest import TOKEN
from tests.e2e.engine import ROOT, STEP_IMAGE, Docker
from tests.tools.simulator import Simulator

SUITE = 'echo "Run your test suite through the FAST node here."'
Completed = subprocess.CompletedProcess[str]
Runs = Callable[[], list[tuple[str, str, int]]]
# What an example leaves behind: a run that recorded five requests, and one with its record. None was aborted.
BOTH_PASSED = [("9058", "passed", 5)] * 2


def run(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]) -> Completed:
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=e2e", "-c", "user.email=e2e@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@pytest.fixture(scope="session")
def docker() -> Docker:
    """The engine that `python -m tests.e2e` found or started; it has the images."""
    return Docker(os.environ["E2E_DOCKER"])


@pytest.fixture(scope="session")
def base() -> str:
    """The image that ours is built on."""
    return os.environ["E2E_BASE"]


@dataclass(frozen=True)
class Authority:
    """A certificate authority that no system trusts, and the TLS of a server with its certificate."""

    path: Path
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server)
    return Authority(path, server)


@pytest.fixture
def simulator(authority: Authority) -> Iterator[Simulator]:
    """The API over TLS, for a user who has to look.

    Its time passes only when somebody looks at a run. So without looks no run gets ready and no security test
    ends, however slow the machine is.
    """
    looks = 0

    def log(line: str) -> None:
        nonlocal looks
        print(f"API | {line}")
        looks += line.startswith("GET /v1/test_run/")

    rules: dict[str, Any] = {"ready_delay": 2, "arrival_seconds": 2, "test_seconds": 2}
    with Simulator(tls=authority.server, clock=lambda: looks, log=log, **rules) as simulator:
        yield simulator


@pytest.fixture
def runs(simulator: Simulator) -> Runs:
    """Returns record, state and number of baselines of every run."""

    def list_runs() -> list[tuple[str, str, int]]:
        return [
            (str(run.test_record_id), state.state_of(run), run.record.baseline_count(state.clock()))
            for run in state.runs.values()
        ]

    state = simulator.state
    return list_runs


def as_used(example: str, simulator: Simulator) -> str:
    """Return an example with a test suite that sends five requests through the node. It also polls faster."""
    text = (ROOT / "examples" / example).read_text()
    assert SUITE in text
    requests = f'curl --fail --silent --show-error --output /dev/null "{simulator.url}/node/[1-5]"'
    text = text.replace("ghcr.io/OWNER/wallarm-fast-stop-recording:1", STEP_IMAGE)
    return text.replace(SUITE, requests).replace("sleep 10", "sleep 0.2")


@dataclass
class Step:
    """Runs the container as any CI would: `docker run --rm -e ... IMAGE`."""

    docker: Docker
    environ: dict[str, str]

    def options(self, **environ: str) -> list[str]:
        variables = self.environ | environ
        return ["--network=host", *(f"--env={name}={value}" for name, value in variables.items())]

    def __call__(self, *options: str, command: str = "", **environ: str) -> Completed:
        image = [STEP_IMAGE, command] if command else [STEP_IMAGE]
        return self.docker("run", "--rm", *self.options(**environ), *options, *image, check=False)


@pytest.fixture
def step(docker: Docker, simulator: Simulator, authority: Authority) -> Step:
    """The step, set up to stop a run that is recording."""
    run_id = str(simulator.state.create_run("e2e").id)
    environ = {"WALLARM_API_HOST": simulator.host, "WALLARM_API_TOKEN": TOKEN, "TEST_RUN_ID": run_id}
    return Step(docker, environ | {"STOP_RECORDING_CA_CERT": authority.path.read_text()})
