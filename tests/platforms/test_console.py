"""Anywhere else: name=value lines on stdout, the log on stderr."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stop_recording.reporting import make_reporter
from stop_recording.result import Report, StopResult
from stop_recording.settings import read_platform
from tests.conftest import ROOT, TOKEN, AsProcess, InProcess
from tests.simulator import Simulator, faults

VARIABLES = ["TEST_RECORD_ID", "TEST_RECORD_IDS", "STOP_RECORDING_STATUS", "TEST_RUN_STATE", "BASELINE_COUNT"]


@pytest.mark.parametrize(
    "text",
    [
        "\n::error::x",
        "##[error]x",
        "\x1b[2Jx",
        "a\rb",
        "a\x0bb",
        "\x9b1m",
        "a\u2028b",
        "\N{RIGHT-TO-LEFT OVERRIDE}x",
    ],
    ids=ascii,
)
def test_what_the_api_says_neither_moves_the_cursor_nor_makes_a_line(
    text: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(400, {"status": 400, "body": text}), on="POST", times=None)
    ran = step()
    assert ran.exit_code == 5
    assert all(line.isprintable() for line in ran.log.split("\n"))
    assert len(ran.stderr.splitlines()) == 2
    assert "##[" not in ran.stderr
    assert list(ran.variables) == VARIABLES


def test_stdout_holds_nothing_but_the_variables_even_when_debugging(step: InProcess) -> None:
    ran = step(CI_DEBUG_TRACE="true")
    assert all(re.fullmatch(r"[A-Z_]+=\S*", line) for line in ran.stdout.splitlines())
    assert list(ran.variables) == VARIABLES
    assert "debug: POST /v1/test_run/5080/action/stop -> 200" in ran.stderr


def test_a_failure_has_every_variable_too_with_what_is_not_known_empty(step: InProcess) -> None:
    ran = step(TEST_RUN_ID="1")
    assert ran.exit_code == 4
    assert ran.stdout == (
        "TEST_RECORD_ID=\nTEST_RECORD_IDS=\nSTOP_RECORDING_STATUS=not_found\nTEST_RUN_STATE=\nBASELINE_COUNT=\n"
    )


def test_a_failure_is_one_error_line_on_stderr(step: InProcess) -> None:
    ran = step(TEST_RUN_ID="1")
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: test run 1: ")


def test_a_warning_is_marked(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.baselines = 0
    empty = sim.state.create_run("empty")
    assert f"\nwarning: test run {empty.id}: no baselines" in step(TEST_RUN_ID=str(empty.id)).stderr


def test_an_output_file_has_the_same_lines_as_stdout(step: InProcess) -> None:
    ran = step(STOP_RECORDING_OUTPUT_FILE="out.env")
    assert ran.dotenv == ran.stdout
    assert ran.variables["TEST_RECORD_ID"] == "9058"


def test_an_output_file_is_replaced_not_added_to(step: InProcess) -> None:
    (step.directory / "out.env").write_text("TEST_RECORD_ID=old\n" * 1000)
    ran = step(STOP_RECORDING_OUTPUT_FILE="out.env")
    assert ran.dotenv == ran.stdout


def test_an_output_file_that_fails_at_the_end_does_not_cost_stdout_its_lines(
    step: InProcess,
) -> None:
    ran = step(STOP_RECORDING_OUTPUT_FILE="/dev/full")
    assert ran.exit_code == 2
    assert "test record 9058" in ran.stderr
    assert ran.errors == ["outputs: '/dev/full' cannot be written: No space left on device"]
    assert "TEST_RECORD_ID=9058\n" in ran.stdout


def test_no_variables_file_appears_that_was_not_asked_for(step: InProcess) -> None:
    step()
    assert {path.name for path in step.directory.iterdir()} <= {"github_output", "summary"}


def test_on_stdout_no_record_is_left_out_however_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    results = [StopResult(str(number), f"record_{number}", recording=False) for number in range(1000)]
    with make_reporter(read_platform({"WALLARM_API_TOKEN": TOKEN})) as reporter:
        reporter.write(Report(results))
    variables = dict(line.split("=") for line in capsys.readouterr().out.splitlines())
    assert variables["TEST_RECORD_IDS"].split(",") == [result.test_record_id for result in results]


def test_a_full_stdout_is_an_output_that_cannot_be_written_with_the_record_in_the_log(
    process: AsProcess,
) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, str(ROOT / "entrypoint.py")],
            env=process.environ("console", {}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 2
    assert "test record 9058" in ran.stderr
    assert "error: outputs: stdout cannot be written: No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
