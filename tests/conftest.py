"""What the tests share: the simulator, with and without TLS, and the step run against it in two ways.

`step` runs `main` in this process with a clock that never waits; `process` runs entrypoint.py as a container
would start it. Both check every stream and file that the step writes for the token.
"""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from stop_recording.app import main
from stop_recording.clock import Clock
from tests.simulator import Simulator

ROOT = Path(__file__).parent.parent
TOKEN = "token_Qwe12345"
_HEREDOC = re.compile(r"(?ms)^(?P<name>\w+)<<(?P<mark>ghadelimiter_\S+)\n(?P<value>.*?)\n(?P=mark)$")


@dataclass
class FakeClock:
    """A clock on which waiting takes no time. `slept` lists the waits, in seconds.

    It starts at the real time, so that a simulator can be handed over to it half way.
    """

    now: float = field(default_factory=time.monotonic)
    epoch: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.epoch + self.now

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=self.monotonic, sleep=self.sleep, wall=self.wall)


@dataclass(frozen=True)
class Ran:
    """A run of the step: its exit code, streams, and the files it was given to write."""

    exit_code: int
    stdout: str
    stderr: str
    github_output: str
    summary: str
    dotenv: str | None
    seconds: float

    @property
    def log(self) -> str:
        return self.stdout + self.stderr

    @property
    def errors(self) -> list[str]:
        """The error lines, without what marks them as such."""
        lines = re.findall(r"^(?:::error(?: title=[^:]*)?::|error: )(.*)$", self.log, re.MULTILINE)
        return [line.replace("%25", "%") for line in lines]

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs as the runner would take them from GITHUB_OUTPUT."""
        return {found["name"]: found["value"] for found in _HEREDOC.finditer(self.github_output)}

    @property
    def variables(self) -> dict[str, str]:
        """The name=value lines of stdout, else of the dotenv file."""
        text = self.dotenv if self.dotenv is not None else self.stdout
        return dict(line.split("=", 1) for line in text.splitlines())

    @property
    def results(self) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = json.loads(self.outputs["results"])
        return results


def assert_no_token(text: str, token: str = TOKEN) -> None:
    """Fail if the token stands anywhere but in the command that masks it."""
    assert token not in text.replace(f"::add-mask::{token}\n", "", 1), "the token is shown"


class Steps:
    """Runs the step in a directory of its own; `env` of a call adds to the `base` of all."""

    def __init__(self, directory: Path, base: Mapping[str, str]) -> None:
        self.directory = directory
        self.base = dict(base)
        self.github_output = directory / "github_output"
        self.summary = directory / "summary"
        self.clock = FakeClock()

    def environ(self, platform: str, env: Mapping[str, str]) -> dict[str, str]:
        """The environment that the platform's runner would set."""
        for file in (self.github_output, self.summary):
            file.write_text("")
        platforms = {
            "github": {
                "GITHUB_ACTIONS": "true",
                "GITHUB_OUTPUT": str(self.github_output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
            },
            "gitlab": {"GITLAB_CI": "true"},
            "console": {},
        }
        return {**self.base, **platforms[platform], **env}

    def ran(self, exit_code: int, stdout: str, stderr: str, env: Mapping[str, str], seconds: float) -> Ran:
        name = env.get("STOP_RECORDING_OUTPUT_FILE") or ("stop-recording.env" if "GITLAB_CI" in env else None)
        dotenv = self.directory / name if name else None
        ran = Ran(
            exit_code,
            stdout,
            stderr,
            self.github_output.read_text(),
            self.summary.read_text(),
            dotenv.read_text() if dotenv and dotenv.is_file() else None,
            seconds,
        )
        for text in (stdout, stderr, ran.github_output, ran.summary, ran.dotenv or ""):
            assert_no_token(text, env.get("WALLARM_API_TOKEN") or TOKEN)
        return ran


class InProcess(Steps):
    """Calls main() in this process, with a fake clock (`clock=None`: the real one)."""

    def __init__(
        self,
        directory: Path,
        base: Mapping[str, str],
        capsys: pytest.CaptureFixture[str],
        patch: pytest.MonkeyPatch,
    ) -> None:
        super().__init__(directory, base)
        self.capsys = capsys
        patch.chdir(directory)

    def __call__(
        self, platform: str = "console", *arguments: str, real_time: bool = False, **env: str
    ) -> Ran:
        environ = self.environ(platform, env)
        self.capsys.readouterr()
        started = time.monotonic()
        exit_code = main(environ, arguments, Clock() if real_time else self.clock.clock)
        seconds = time.monotonic() - started
        captured = self.capsys.readouterr()
        return self.ran(exit_code, captured.out, captured.err, environ, seconds)


class AsProcess(Steps):
    """Starts entrypoint.py as a process of its own, in real time."""

    def start(self, platform: str = "console", **env: str) -> subprocess.Popen[str]:
        self.env = self.environ(platform, {"PATH": os.environ["PATH"], **env})
        return subprocess.Popen(
            [sys.executable, str(ROOT / "entrypoint.py")],
            env=self.env,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def finish(self, process: subprocess.Popen[str], started: float, limit: float = 30) -> Ran:
        try:
            stdout, stderr = process.communicate(timeout=limit)
        finally:
            process.kill()
        return self.ran(process.returncode, stdout, stderr, self.env, time.monotonic() - started)

    def __call__(self, platform: str = "console", *, limit: float = 30, **env: str) -> Ran:
        started = time.monotonic()
        return self.finish(self.start(platform, **env), started, limit)

    def interrupted(
        self, by: signal.Signals, when: Callable[[], bool], platform: str = "console", **env: str
    ) -> Ran:
        """Send the signal once `when` is true; `seconds` of the answer counts from then."""
        process = self.start(platform, **env)
        try:
            until = time.monotonic() + 20
            while not when():
                assert process.poll() is None, "ended before the signal"
                assert time.monotonic() < until, "never came to the point"
                time.sleep(0.01)
            started = time.monotonic()
            process.send_signal(by)
            return self.finish(process, started)
        finally:
            process.kill()


@pytest.fixture(scope="session", autouse=True)
def _small_system_trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the system trust a single CA: to load the usual ones takes half the time of a test."""
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


def _base(simulator: Simulator) -> dict[str, str]:
    return {"WALLARM_API_TOKEN": TOKEN, "WALLARM_API_HOST": simulator.url, "TEST_RUN_ID": "5080"}


@pytest.fixture
def step(
    sim: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> InProcess:
    """The step in this process, against `sim`, stopping run 5080."""
    return InProcess(tmp_path, _base(sim), capsys, monkeypatch)


@pytest.fixture
def process(sim: Simulator, tmp_path: Path) -> AsProcess:
    """The step as a process, against `sim`, stopping run 5080."""
    return AsProcess(tmp_path, _base(sim))


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
