"""The fixtures of the end-to-end tests: the engine, the simulator with TLS, the step in its container."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from tests.e2e.engine import ROOT, Docker
from tests.e2e.pipelines import Authority, Container, Runs
from tests.harness import TOKEN, wait_until
from tests.tools.simulator import Simulator


@pytest.fixture(scope="session")
def docker() -> Docker:
    """The engine that `python -m tests.e2e` found or started; it has the images."""
    return Docker(os.environ["E2E_DOCKER"])


@pytest.fixture(scope="session")
def base() -> str:
    """The image that ours is built on."""
    return os.environ["E2E_BASE"]


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


@pytest.fixture
def node_port() -> int:
    """The port of the FAST node. Nobody listens there yet."""
    with socket.socket() as unused:
        unused.bind(("", 0))
        port: int = unused.getsockname()[1]
    return port


@pytest.fixture
def inactive(simulator: Simulator) -> None:
    """Let no container of the FAST node run, so that test runs get ready only once one does."""
    simulator.state.rules.node_active = False


@pytest.fixture
def node(simulator: Simulator, inactive: None, node_port: int, authority: Authority) -> Iterator[int]:
    """A FAST node that keeps running outside of the jobs; returns its port."""
    environ = {"WALLARM_API_HOST": simulator.host, "WALLARM_API_TOKEN": TOKEN, "NODE_PORT": str(node_port)}
    command = [sys.executable, str(ROOT / "tests/e2e/node/node.py")]
    with subprocess.Popen(command, env=environ | {"SSL_CERT_FILE": str(authority.path)}) as process:
        try:
            wait_until(lambda: simulator.state.rules.node_active)
            yield node_port
        finally:
            process.kill()


@pytest.fixture
def container(docker: Docker, simulator: Simulator, authority: Authority) -> Container:
    """The step, set up to stop a run that is recording."""
    run_id = str(simulator.state.create_run("e2e").id)
    environ = {"WALLARM_API_HOST": simulator.host, "WALLARM_API_TOKEN": TOKEN, "TEST_RUN_ID": run_id}
    return Container(docker, environ | {"WALLARM_CA_CERT": authority.path.read_text()})
