"""What the tests share: clocks, two ways to run a step against the simulator, and what they look for.

`InProcess` runs it in this process, on a clock that never waits; `AsProcess` starts entrypoint.py as a
container would. Both look for the token in everything that the step writes.
"""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.tools.simulator import Simulator
from wallarm_fast.api.test_run import Counts, TestRun
from wallarm_fast.app import Step, run_step
from wallarm_fast.clock import Clock
from wallarm_fast.errors import StepError
from wallarm_fast.inputs.output_files import OutputFiles, find_output_files
from wallarm_fast.inputs.table import read_token
from wallarm_fast.platforms import Platform, Reporter, detect_platform, make_reporter
from wallarm_fast.start import step as start
from wallarm_fast.stop import step as stop
from wallarm_fast.stop.report import StopResult
from wallarm_fast.stop.settings import INPUTS
from wallarm_fast.verdict import step as verdict

ROOT = Path(__file__).parent.parent
TOKEN = "token_Qwe12345"
PLATFORMS = ["github", "gitlab", "console"]
STOP = "POST /v1/test_run/5080/action/stop"
LOOK = "GET /v1/test_run/5080"
STOP_BY_RECORD = "POST /v1/test_record/9058/action/stop"
# What should end at once may take this many seconds, since the machine may be busy. What hangs, hangs longer.
SOON = 20.0
# Whatever the jitter, the last attempt comes 7 s before this deadline: enough for a busy machine.
TIMEOUT = "25.7"
_SYSTEM = dict(os.environ)  # with the system's trust, which the tests replace
_HEREDOC = re.compile(r"(?ms)^(?P<name>\w+)<<(?P<mark>ghadelimiter_\S+)\n(?P<value>.*?)\n(?P=mark)$")


@dataclass(frozen=True)
class Command:
    """A step, and the arguments of entrypoint.py that start it."""

    step: Step
    arguments: list[str]

    @property
    def name(self) -> str:
        """The command in the image."""
        return self.step.command

    @property
    def prefix(self) -> str:
        """How the variables begin that belong to this step alone."""
        return self.name.upper().replace("-", "_")


COMMANDS = {
    "start": Command(start.STEP, ["start"]),
    "stop": Command(stop.STEP, []),
    "verdict": Command(verdict.STEP, ["verdict"]),
}


@dataclass
class FakeClock:
    """A clock on which sleeping takes no time; `slept` lists the pauses, in seconds.

    It starts at the real time, so that a simulator can be handed over to it halfway, but at a whole second,
    so that sums are exact.
    """

    now: float = field(default_factory=lambda: float(math.ceil(time.monotonic())))
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
    """A run of the step: its exit code, its streams, and the files it was given to write."""

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
        """The name=value lines of the dotenv file, or of stdout if there is none."""
        text = self.dotenv if self.dotenv is not None else self.stdout
        return dict(line.split("=", 1) for line in text.splitlines())

    @property
    def status(self) -> str:
        """The output `status`, or else the variable that has it."""
        if self.github_output:
            return self.outputs["status"]
        (status,) = [value for name, value in self.variables.items() if name.endswith("_STATUS")]
        return status

    @property
    def record_id(self) -> str:
        """The output `test_record_id`, or else the variable that has it."""
        return self.outputs["test_record_id"] if self.github_output else self.variables["TEST_RECORD_ID"]

    @property
    def results(self) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = json.loads(self.outputs["results"])
        return results


class Steps:
    """Runs a step against a simulator, in a directory of its own, for the test run 5080.

    `env` of a call adds to the variables in `base`, which are those of all calls.
    """

    def __init__(self, name: str, folder: Path, sim: Simulator) -> None:
        self.command = COMMANDS[name]
        self.directory = folder / "work"
        self.directory.mkdir(exist_ok=True)
        self.base = {"WALLARM_API_TOKEN": TOKEN, "WALLARM_API_HOST": sim.url, "TEST_RUN_ID": "5080"}
        self.github_output = folder / "github_output"
        self.summary = folder / "summary"
        self.github_env = folder / "github_env"

    def environ(self, platform: str, env: Mapping[str, str]) -> dict[str, str]:
        """Return the environment that the platform's runner would set."""
        for file in (self.github_output, self.summary, self.github_env):
            file.write_text("")
        platforms = {
            "github": {
                "GITHUB_ACTIONS": "true",
                "GITHUB_OUTPUT": str(self.github_output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                "GITHUB_ENV": str(self.github_env),
            },
            "gitlab": {"GITLAB_CI": "true"},
            "console": {},
        }
        return {**self.base, **platforms[platform], **env}

    def ran(self, exit_code: int, stdout: str, stderr: str, env: Mapping[str, str], seconds: float) -> Ran:
        name = env.get(f"{self.command.prefix}_OUTPUT_FILE")
        name = name or (f"{self.command.name}.env" if "GITLAB_CI" in env else None)
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
    """Runs a step in this process, on a fake clock."""

    def __init__(
        self,
        name: str,
        folder: Path,
        sim: Simulator,
        capsys: pytest.CaptureFixture[str],
        patch: pytest.MonkeyPatch,
    ) -> None:
        super().__init__(name, folder, sim)
        self.clock = FakeClock()
        self.capsys = capsys
        # On a busy machine the thread that prints may have to wait, but here it never hangs.
        patch.setattr("wallarm_fast.app._LOG_GRACE", SOON)
        for module in ("console", "reporter"):
            patch.setattr(f"wallarm_fast.platforms.{module}.STALLED_AFTER", SOON)
        patch.chdir(self.directory)

    def __call__(self, platform: str = "console", **env: str) -> Ran:
        environ = self.environ(platform, env)
        self.capsys.readouterr()
        started = time.monotonic()
        exit_code = run_step(self.command.step, environ, self.clock.clock)
        seconds = time.monotonic() - started
        captured = self.capsys.readouterr()
        return self.ran(exit_code, captured.out, captured.err, environ, seconds)


class AsProcess(Steps):
    """Starts entrypoint.py as a process of its own, in real time; `popen` are more arguments of Popen."""

    def __init__(self, name: str, folder: Path, sim: Simulator) -> None:
        super().__init__(name, folder, sim)
        self.stdout = folder / "stdout"
        self.stderr = folder / "stderr"
        self.popen: dict[str, Any] = {}

    def __call__(
        self,
        platform: str = "console",
        signals: Sequence[signal.Signals] = (),
        when: Callable[[], bool] = lambda: True,
        /,
        **env: str,
    ) -> Ran:
        """Run the step and, once `when` is true, send it the signals, from which `seconds` counts."""
        environ = self.environ(platform, {"PATH": os.environ["PATH"], **env})
        command = [sys.executable, str(ROOT / "entrypoint.py"), *self.command.arguments]
        with self.stdout.open("wb") as stdout, self.stderr.open("wb") as stderr:
            options = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr, **self.popen}
            process = subprocess.Popen(command, env=environ, cwd=self.directory, **options)
        try:
            if signals:
                wait_until(lambda: process.poll() is not None or when())
                assert process.poll() is None, f"ended before the signal: {self.log()}"
            for each in signals:
                process.send_signal(each)
                if each is signal.SIGSTOP:
                    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            started = time.monotonic()
            process.wait(3 * SOON)
            seconds = time.monotonic() - started
        finally:
            process.kill()
            process.wait()
        stdout_text, stderr_text = self.stdout.read_text("utf-8"), self.stderr.read_text("utf-8")
        return self.ran(process.returncode, stdout_text, stderr_text, environ, seconds)

    def log(self) -> str:
        """Return what the process has printed so far."""
        return self.stdout.read_text("utf-8") + self.stderr.read_text("utf-8")


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 3 * SOON
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def copy_project(folder: Path) -> list[Path]:
    """Copy the files of the project, also those that are not committed; return their copies."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    names = [name for name in names if (ROOT / name).is_file()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return [folder / name for name in names]


def build_zipapp(file: Path) -> None:
    """Write the file for runners without Docker, as a release does."""
    script = ROOT / "scripts/zipapp.py"
    subprocess.run([sys.executable, script, file], env=_SYSTEM, check=True, capture_output=True)


def platform_of(environ: Mapping[str, str]) -> Platform:
    """Return the platform that a step detects."""
    return detect_platform(environ, read_token(environ))


def files_of(environ: Mapping[str, str]) -> OutputFiles:
    """Return the output files of the stop step."""
    return find_output_files(environ, INPUTS, platform_of(environ), exports=False)


def reporter_of(environ: Mapping[str, str]) -> Reporter:
    """Return the reporter of the stop step."""
    return make_reporter(platform_of(environ), files_of(environ).paths)


def stop_result(  # noqa: PLR0913 - what may be known
    test_run_id: str,
    test_record_id: str | None = None,
    recording: bool | None = None,
    *,
    state: str | None = None,
    baseline_count: int | None = None,
    already_stopped: bool = False,
    dry_run: bool = False,
    url: str | None = None,
    error: StepError | None = None,
) -> StopResult:
    """Return the result of the stop step for a run of which just this is known."""
    latest = TestRun(
        test_record_id=test_record_id,
        recording=recording,
        state=state,
        counts=Counts(baseline_count=baseline_count),
    )
    return StopResult(
        test_run_id=test_run_id,
        latest=latest,
        already_stopped=already_stopped,
        dry_run=dry_run,
        url=url,
        error=error,
    )


def assert_no_token(text: str, token: str = TOKEN) -> None:
    """Fail if the token is anywhere but in the one command that masks it."""
    assert token not in text.replace(f"::add-mask::{token}\n", "", 1), "the token is shown"
