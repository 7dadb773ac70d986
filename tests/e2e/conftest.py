"""What the end-to-end tests share: the engine, the simulator with TLS, the step in its container."""

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trustme

from tests.e2e.engine import STEP_IMAGE, Docker
from tests.tools.simulator import Simulator

TOKEN = "token_Qwe12345"
Completed = subprocess.CompletedProcess[str]
Copies = Callable[[], list[tuple[str, str]]]


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
    """The API over TLS; each new run gets five baselines, within three seconds."""
    with Simulator(token=TOKEN, tls=authority.server, baselines=5, arrival_seconds=3) as simulator:
        simulator.log = partial(print, "API |")
        yield simulator


@pytest.fixture
def copies(simulator: Simulator) -> Copies:
    """Returns name and record of every run that was made from a record."""
    return lambda: [
        (run.name, str(run.test_record_id)) for run in simulator.state.runs.values() if run.state == "cloning"
    ]


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
