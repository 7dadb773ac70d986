"""The fixtures that the tests share: the simulator, with and without TLS, and the steps against it."""

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import trustme

# So that their assertions show the values, as those of tests do.
pytest.register_assert_rewrite(
    "tests.assertions", "tests.contract", "tests.harness", "tests.scripts.releases"
)

from tests.harness import TOKEN, AsProcess, InProcess  # noqa: E402
from tests.tools.simulator import Simulator  # noqa: E402

# The same examples in every run; `make fuzz` looks for new ones.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("fuzz", max_examples=5000, deadline=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


@pytest.fixture(scope="session", autouse=True)
def _small_system_trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the system trust a single CA: loading the usual ones takes half the time of a test."""
    file = tmp_path_factory.mktemp("trust") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        patch.setenv("SSL_CERT_DIR", str(file.parent))
        yield


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A simulator that records 5 baselines in each test run; the first run is 5080 with record 9058."""
    with Simulator(token=TOKEN, baselines=5) as simulator:
        simulator.state.create_run("first")
        yield simulator


@pytest.fixture
def step(
    sim: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], InProcess]:
    """Returns the step of this name, in this process, against `sim`, for run 5080."""
    return lambda name: InProcess(name, tmp_path, sim, capsys, monkeypatch)


@pytest.fixture
def start(step: Callable[[str], InProcess]) -> InProcess:
    return step("start")


@pytest.fixture
def stop(step: Callable[[str], InProcess]) -> InProcess:
    return step("stop")


@pytest.fixture
def verdict(step: Callable[[str], InProcess]) -> InProcess:
    return step("verdict")


@pytest.fixture
def process(sim: Simulator, tmp_path: Path) -> Callable[[str], AsProcess]:
    """As `step`, as a process of its own."""
    return lambda name: AsProcess(name, tmp_path, sim)


@pytest.fixture
def start_process(process: Callable[[str], AsProcess]) -> AsProcess:
    return process("start")


@pytest.fixture
def stop_process(process: Callable[[str], AsProcess]) -> AsProcess:
    return process("stop")


@pytest.fixture
def verdict_process(process: Callable[[str], AsProcess]) -> AsProcess:
    return process("verdict")


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_pem(ca: trustme.CA) -> str:
    return ca.cert_pem.bytes().decode()


@pytest.fixture(scope="session")
def server_tls(ca: trustme.CA) -> ssl.SSLContext:
    """TLS of a server called localhost, with a certificate of `ca`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
    return context


@pytest.fixture
def tls_sim(server_tls: ssl.SSLContext) -> Iterator[Simulator]:
    """As `sim`, with TLS."""
    with Simulator(token=TOKEN, baselines=5, tls=server_tls) as simulator:
        simulator.state.create_run("first")
        yield simulator
