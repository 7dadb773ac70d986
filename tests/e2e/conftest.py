import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import trustme

from tests.e2e.engine import STEP_IMAGE, Docker, EngineError, build_images, running_engine
from tests.simulator import Simulator

TOKEN = "token_Qwe12345"


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(running_engine())
        except EngineError as error:
            pytest.exit(str(error), returncode=1)
        yield engine


@pytest.fixture(scope="session")
def base(docker: Docker) -> str:
    """The image that ours is built on; both are there from here on."""
    try:
        return build_images(docker)
    except EngineError as error:
        pytest.exit(str(error), returncode=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that no system trusts, and a server's end of TLS signed by it."""

    pem: str
    path: Path
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server)
    return Authority(ca.cert_pem.bytes().decode(), path, server)


@pytest.fixture
def simulator(authority: Authority) -> Iterator[Simulator]:
    """The API over TLS; each new run gets five baselines, within three seconds."""
    with Simulator(
        token=TOKEN,
        tls=authority.server,
        baselines=5,
        arrival_seconds=3,
        log=lambda line: print("API |", line),
    ) as simulator:
        yield simulator


@dataclass
class Step:
    """Runs the container as any CI would: `docker run --rm -e ... IMAGE`."""

    docker: Docker
    environ: dict[str, str] = field(default_factory=dict)

    def options(self, **environ: str) -> list[str]:
        return [
            "--network=host",
            *(f"--env={name}={value}" for name, value in (self.environ | environ).items()),
        ]

    def __call__(self, *options: str, **environ: str) -> CompletedProcess[str]:
        return self.docker("run", "--rm", *self.options(**environ), *options, STEP_IMAGE, check=False)


@pytest.fixture
def step(docker: Docker, base: str, simulator: Simulator, authority: Authority) -> Step:
    """The step, set up to stop a run that is recording."""
    return Step(
        docker,
        {
            "WALLARM_API_TOKEN": TOKEN,
            "WALLARM_API_HOST": simulator.host,
            "STOP_RECORDING_CA_CERT": authority.pem,
            "TEST_RUN_ID": str(simulator.state.create_run("e2e").id),
        },
    )


Copies = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def copies(simulator: Simulator) -> Copies:
    """Name and record of every run that was made from a record."""
    return lambda: [
        (run.name, str(run.test_record_id)) for run in simulator.state.runs.values() if run.state == "cloning"
    ]
