"""The command line, internal errors, the log before the work, and links to the portal of a real cloud."""

import itertools
import json
import logging
import math
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme

from tests.harness import COMMANDS, PLATFORMS, ROOT, TOKEN, FakeClock, InProcess, Ran
from tests.tools.proxy import Proxy
from tests.tools.simulator import Simulator, faults
from wallarm_fast import __version__
from wallarm_fast.cli import run_cli


@pytest.mark.parametrize("argument", ["--help", "-h"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("start", ["START_RECORDING_TIMEOUT", "Required", "TEST_RUN_URL", "13 FAST node not ready"]),
        ("stop", ["min_baselines, STOP_RECORDING_MIN_BASELINES", "Default: 120", "8 Too few baselines"]),
        ("verdict", ["FAST_VERDICT_MIN_THREAT", "test_record_id", "VULNERABILITY_COUNT", "11 "]),
    ],
)
def test_help_lists_inputs_outputs_exit_codes_and_an_example(
    name: str, words: list[str], argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = COMMANDS[name]
    assert run_cli(command.step, [argument]) == 0
    stdout, stderr = capsys.readouterr()
    assert stderr == ""
    lines = stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[-1].startswith("  WALLARM_API_TOKEN=... ")
    assert lines[-1].endswith(command.name)
    assert [word for word in words if word not in stdout] == []
    assert "The commands are start-recording, stop-recording and fast-verdict." in lines
    assert "WALLARM_API_TOKEN_FILE may name a file that holds the token." in lines


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "x"]])
def test_version_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(COMMANDS["stop"].step, arguments) == 0
    assert capsys.readouterr().out == f"stop-recording {__version__}\n"


@pytest.mark.parametrize("arguments", [["5080"], ["help"], ["--test-run-id", "5080"], ["--hel"], [""]])
def test_other_arguments_are_bad_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(COMMANDS["stop"].step, arguments) == 2
    assert capsys.readouterr() == ("", "error: inputs are environment variables; see --help\n")


def break_once(clock: FakeClock, name: str, patch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let the clock fail once, after so many reads (or sleeps)."""
    works, calls = getattr(clock, name), itertools.count()

    def call(*seconds: float) -> object:
        if next(calls) == after:
            raise ZeroDivisionError(f"the clock broke at {TOKEN}")
        return works(*seconds)

    patch.setattr(clock, name, call)


def assert_internal_error(ran: Ran) -> None:
    assert ran.exit_code == 1
    assert ran.status == "internal_error"
    assert "| Traceback (most recent call last):" in ran.log
    assert "ZeroDivisionError: the clock broke at ***" in ran.log
    (error,) = ran.errors
    assert error.endswith("unexpected ZeroDivisionError; please report it with the lines above")
    for start, end in (("::group::", "::endgroup::"), ("section_start", "section_end")):
        assert ran.log.count(start) == ran.log.count(end)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_internal_error_shows_a_traceback_without_the_token(
    platform: str, stop: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_once(stop.clock, "monotonic", monkeypatch, after=1)
    assert_internal_error(stop(platform))  # which looks for the token


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_internal_error_in_the_work_on_one_run_does_not_keep_another_recording(
    platform: str, stop: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps after a 503."""
    break_once(stop.clock, "sleep", monkeypatch, after=0)
    sim.faults.add(faults.answer(503), times=None, run="5080")
    other = sim.state.create_run("other")
    assert_internal_error(stop(platform, TEST_RUN_ID=f"{other.id} 5080"))
    assert other.record.stopped_at < math.inf


def test_warnings_come_before_the_work_and_no_log_handler_is_left(stop: InProcess, sim: Simulator) -> None:
    before = list(logging.getLogger("wallarm_fast").handlers)
    everywhere = sim.url.replace("127.0.0.1", "0.0.0.0")
    ran = stop("github", WALLARM_API_HOST=everywhere, WALLARM_API_USE_SSL="false")
    title = f"Stopping the recording of test run 5080 at {everywhere}"
    assert f"\n::warning::the token is sent unencrypted to 0.0.0.0\n::group::{title}\n" in ran.stdout
    assert logging.getLogger("wallarm_fast").handlers == before


@pytest.mark.parametrize(
    ("region", "host", "url"),
    [
        ("us", "us1.api.wallarm.com", "https://us1.my.wallarm.com/testing/testruns/5080"),
        ("eu", "api.wallarm.com", "https://my.wallarm.com/testing/testruns/5080"),
    ],
)
def test_every_platform_links_to_the_run_in_the_portal(  # noqa: PLR0913, PLR0917 - columns and fixtures
    region: str, host: str, url: str, stop: InProcess, ca: trustme.CA, ca_pem: str
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(host).configure_cert(tls)
    stop.base |= {"WALLARM_API_HOST": "", "WALLARM_CLOUD_REGION": region, "WALLARM_CA_CERT": ca_pem}
    with Simulator(token=TOKEN, tls=tls) as cloud, Proxy(route_to=cloud.host) as proxy:
        cloud.state.create_run("first")
        github = stop("github", HTTPS_PROXY=proxy.url)
        gitlab = stop("gitlab", HTTPS_PROXY=proxy.url)
    assert github.exit_code == 0
    assert gitlab.exit_code == 0
    assert github.results[0]["url"] == url
    assert f"[5080]({url})" in github.summary
    links = json.loads((stop.directory / "stop-recording.links.json").read_text())
    assert links == {"Wallarm FAST": [{"external_link": {"label": "Test run 5080", "url": url}}]}


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["--version"], "stop-recording"),
        (["stop", "--version"], "stop-recording"),
        (["start", "--version"], "start-recording"),
        (["verdict", "--version"], "fast-verdict"),
    ],
)
def test_the_first_argument_chooses_the_step(arguments: list[str], command: str) -> None:
    ran = run_entrypoint([ROOT / "entrypoint.py", *arguments])
    assert ran.returncode == 0
    assert ran.stdout == f"{command} {__version__}\n"


@pytest.mark.parametrize("command", ["start-recording", "stop-recording", "fast-verdict"])
def test_the_name_of_the_command_chooses_the_step(command: str, tmp_path: Path) -> None:
    (tmp_path / command).symlink_to(ROOT / "entrypoint.py")
    assert run_entrypoint([tmp_path / command, "--version"]).stdout == f"{command} {__version__}\n"


@pytest.mark.parametrize("arguments", [["help"], ["stop", "--test-run-id", "5080"], ["verdict", "start"]])
def test_arguments_that_mean_nothing_get_a_sentence(arguments: list[str]) -> None:
    ran = run_entrypoint([ROOT / "entrypoint.py", *arguments])
    assert ran.returncode == 2
    assert ran.stderr == "error: inputs are environment variables; see --help\n"


def test_missing_libraries_get_a_sentence() -> None:
    ran = run_entrypoint(["-S", ROOT / "entrypoint.py"])
    assert ran.returncode == 2
    assert ran.stderr == "error: the library httpx is missing; run `make setup`, or use the image\n"


def test_an_old_python_gets_a_sentence() -> None:
    old = "import runpy, sys; sys.version_info = (3, 10); runpy.run_path(sys.argv[1], run_name='__main__')"
    ran = run_entrypoint(["-c", old, ROOT / "entrypoint.py"])
    assert ran.returncode == 2
    assert ran.stderr == "error: Python 3.11 or newer is needed\n"


def run_entrypoint(arguments: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], env={}, capture_output=True, text=True, check=False)
