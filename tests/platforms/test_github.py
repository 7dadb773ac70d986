"""What GitHub's runner gets: commands on stdout, GITHUB_OUTPUT, the job summary."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stop_recording.errors import Refused
from stop_recording.reporting import make_reporter
from stop_recording.result import Report, StopResult
from stop_recording.settings import Platform, read_platform
from tests.conftest import TOKEN, AsProcess, InProcess
from tests.simulator import Simulator, faults

NAMES = ["test_record_id", "test_record_ids", "status", "test_run_state", "baseline_count", "results"]
HOSTILE = [
    "\n::set-output name=status::hacked",
    "::error::x",
    "  ::stop-commands::x",
    "\r::add-mask::e",
    "a\n##[set-env name=PATH]x",
    "##[command]x",
    "\x1b[2J\x1b]0;x\x07",
    "x\u2028::error::y",
    "100%\n::error::%0A::x",
    "ghadelimiter_\nstatus=stopped\nghadelimiter_",
]


def file_commands(text: str) -> dict[str, str]:
    """Read GITHUB_OUTPUT as the runner does (FileCommandManager.cs): name=value, or name<<mark to mark."""
    read: dict[str, str] = {}
    lines = iter(text.splitlines(keepends=True))
    for line in lines:
        line = line.rstrip("\n")  # noqa: PLW2901
        if not line:
            continue
        equals, mark = line.find("="), line.find("<<")
        if equals >= 0 and (mark < 0 or equals < mark):
            name, _, read[name] = line.partition("=")
            continue
        assert mark > 0, f"the runner fails on {line!r}"
        name, end = line[:mark], line[mark + 2 :]
        assert end, "the runner fails on an empty delimiter"
        value: list[str] = []
        for part in lines:
            if part.rstrip("\r\n") == end:
                break
            value.append(part)
        else:
            pytest.fail(f"no end of {name}")
        read[name] = "".join(value).removesuffix("\n")
    return read


def refuse_with(sim: Simulator, text: str) -> None:
    sim.faults.add(faults.answer(400, {"status": 400, "body": {"error": text}}), on="POST", times=None)


def platform(directory: Path, **more: str) -> Platform:
    return read_platform(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(directory / "output"),
            "GITHUB_STEP_SUMMARY": str(directory / "summary"),
            "WALLARM_API_TOKEN": TOKEN,
            **more,
        }
    )


# Masks.


@pytest.mark.parametrize(
    "spoil",
    [
        {},
        {"TEST_RUN_ID": "../x"},
        {"WALLARM_API_TOKEN": "hush hush"},
        {"WALLARM_API_TOKEN": "hush%hush"},
        {"STOP_RECORDING_DRY_RUN": "true"},
        {"STOP_RECORDING_TIMEOUT": "x", "RUNNER_DEBUG": "1"},
    ],
)
def test_the_token_is_masked_on_the_very_first_line(spoil: dict[str, str], process: AsProcess) -> None:
    ran = process("github", **spoil)  # type: ignore[arg-type]  # no limit among these
    token = spoil.get("WALLARM_API_TOKEN", TOKEN)
    assert ran.stdout.split("\n")[0] == f"::add-mask::{token.replace('%', '%25')}"
    assert ran.stdout.count("::add-mask::") == 1
    assert ran.stderr == ""


def test_a_token_from_a_file_is_masked_on_the_very_first_line(step: InProcess) -> None:
    (step.directory / "token").write_text(f"{TOKEN}\n")
    ran = step("github", WALLARM_API_TOKEN="", WALLARM_API_TOKEN_FILE="token")
    assert ran.exit_code == 0
    assert ran.stdout.startswith(f"::add-mask::{TOKEN}\n")


def test_a_token_of_two_lines_is_masked_as_one_command(step: InProcess) -> None:
    ran = step("github", WALLARM_API_TOKEN="hush\nhush")
    assert ran.stdout.startswith("::add-mask::hush%0Ahush\n")
    assert ran.stdout.count("hush") == 2


def test_without_a_token_there_is_nothing_to_mask(step: InProcess) -> None:
    ran = step("github", WALLARM_API_TOKEN="")
    assert ran.exit_code == 2
    assert "::add-mask::" not in ran.stdout


def test_only_the_token_is_masked_for_a_masked_id_would_reach_the_next_job_empty(step: InProcess) -> None:
    assert step("github").stdout.count("::add-mask::") == 1


# The log.


def test_the_log_is_on_stdout_exactly(step: InProcess, sim: Simulator) -> None:
    ran = step("github")
    assert ran.stdout == (
        f"::add-mask::{TOKEN}\n"
        f"::group::Stopping the recording of test run 5080 at {sim.url}\n"
        "::endgroup::\n"
        "test run 5080: recording stopped, test record 9058, baselines 5, state running\n"
    )
    assert ran.stderr == ""


def test_a_failure_is_one_annotation_with_a_title_outside_of_the_group(
    step: InProcess, sim: Simulator
) -> None:
    refuse_with(sim, "no")
    lines = step("github").stdout.splitlines()
    assert [line for line in lines if line.startswith("::error")] == lines[-1:]
    assert re.fullmatch(r"::error title=Request refused::test run 5080: .*HTTP 400: error: no.*", lines[-1])
    assert lines.index("::endgroup::") < len(lines) - 1


def test_a_warning_is_an_annotation(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.baselines = 0
    empty = sim.state.create_run("empty")
    ran = step("github", TEST_RUN_ID=str(empty.id))
    assert f"\n::warning::test run {empty.id}: no baselines were recorded" in ran.stdout


def test_percent_and_line_breaks_cannot_end_an_annotation_early(step: InProcess, sim: Simulator) -> None:
    refuse_with(sim, "100%\nof %0A")
    (line,) = re.findall(r"(?m)^::error .*$", step("github").stdout)
    assert "100%25 of %250A" in line


def test_requests_are_logged_as_debug_lines_only_when_the_runner_debugs(step: InProcess) -> None:
    assert "::debug::" not in step("github").stdout
    assert "\n::debug::POST /v1/test_run/5080/action/stop -> 200" in step("github", RUNNER_DEBUG="1").stdout


def assert_harmless(text: str) -> None:
    """Fail on any command but those that the step means, on old ones, and on control characters."""
    for line in text.splitlines():
        assert not re.match(
            r"\s*::(?!(add-mask|group|endgroup|error|warning|debug)( title=[^:]*)?::)", line
        ), line
    assert "##[" not in text
    assert re.fullmatch(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]*", text)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("debug", ["", "1"])
def test_what_the_api_says_becomes_no_command(text: str, debug: str, step: InProcess, sim: Simulator) -> None:
    refuse_with(sim, text)
    ran = step("github", RUNNER_DEBUG=debug)
    assert ran.exit_code == 5
    assert_harmless(ran.stdout)
    assert len(re.findall(r"(?m)^\s*::error", ran.stdout)) == 1
    assert file_commands(ran.github_output)["status"] == "refused"
    assert list(file_commands(ran.github_output)) == NAMES


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_an_input_holds_becomes_no_command(text: str, step: InProcess) -> None:
    ran = step("github", WALLARM_CLOUD_REGION=f"{text}x", STOP_RECORDING_TIMEOUT=text, TEST_RUN_ID=f"/{text}")
    assert ran.exit_code == 2
    assert_harmless(ran.stdout)
    assert len(ran.errors) == 1


def test_a_token_that_is_echoed_is_in_no_stream_and_no_file(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.echo_token(), on="POST", times=None)
    ran = step("github", RUNNER_DEBUG="1")  # which checks that
    assert "***" in ran.errors[0]
    assert "***" in ran.results[0]["error"]
    assert "***" in ran.summary.replace("&#42;", "*")


# GITHUB_OUTPUT.


def test_every_output_is_there_as_the_runner_reads_it(step: InProcess) -> None:
    outputs = file_commands(step("github").github_output)
    assert list(outputs) == NAMES
    assert outputs["test_record_id"] == "9058"
    assert json.loads(outputs["test_record_ids"]) == ["9058"]
    assert len(json.loads(outputs["results"])) == 1


def test_bad_input_has_every_output_too(step: InProcess) -> None:
    outputs = file_commands(step("github", TEST_RUN_ID="").github_output)
    assert outputs == {
        "test_record_id": "",
        "test_record_ids": "[]",
        "status": "bad_input",
        "test_run_state": "",
        "baseline_count": "",
        "results": "[]",
    }


def test_what_other_steps_wrote_is_kept(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("before=1\n")
    (tmp_path / "summary").write_text("# Before\n")
    with make_reporter(platform(tmp_path)) as reporter:
        reporter.write(Report([StopResult("1", "2", recording=False)]))
    assert (tmp_path / "output").read_text().startswith("before=1\ntest_record_id<<")
    assert (tmp_path / "summary").read_text().startswith("# Before\n### Wallarm FAST")
    assert file_commands((tmp_path / "output").read_text())["before"] == "1"


STATES = st.none() | st.from_regex(r"[a-z_]{1,32}", fullmatch=True)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
RESULTS = st.builds(
    StopResult,
    test_run_id=IDS,
    test_record_id=st.none() | IDS,
    recording=st.none() | st.booleans(),
    already_stopped=st.booleans(),
    state=STATES,
    baseline_count=st.none() | st.integers(0, 10**9),
    url=st.none() | IDS.map("https://us1.my.wallarm.com/testing/testruns/".__add__),
    error=st.none() | st.builds(Refused, st.text(st.characters(codec=None)) | st.sampled_from(HOSTILE)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(RESULTS, min_size=1, max_size=4))
@example([StopResult("1", error=Refused(text)) for text in HOSTILE])
def test_any_result_is_read_back_by_the_runner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], results: list[StopResult]
) -> None:
    for name in ("output", "summary"):
        (tmp_path / name).unlink(missing_ok=True)
    with make_reporter(platform(tmp_path)) as reporter:
        reporter.write(Report(results))
    outputs = file_commands((tmp_path / "output").read_text())
    assert list(outputs) == NAMES
    assert all(len(value.splitlines()) <= 1 for value in outputs.values())
    assert json.loads(outputs["test_record_ids"]) == [r.test_record_id for r in results if r.test_record_id]
    for told, result in zip(json.loads(outputs["results"]), results, strict=True):
        error = told.pop("error")
        assert told == {name: value for name, value in vars(result).items() if name != "error"}
        assert (error is None) == (result.error is None)
        assert error is None or error.isprintable()


def test_outputs_go_to_the_output_file_as_well_where_one_is_named(step: InProcess) -> None:
    ran = step("github", STOP_RECORDING_OUTPUT_FILE="more.env")
    assert ran.outputs["test_record_id"] == ran.variables["TEST_RECORD_ID"] == "9058"


# Files that fail.


def test_a_summary_that_cannot_be_written_is_only_a_warning(step: InProcess) -> None:
    ran = step("github", GITHUB_STEP_SUMMARY="no/such/directory/summary")
    assert ran.exit_code == 0
    assert "\n::warning::no job summary: 'no/such/directory/summary' cannot be written" in ran.stdout
    assert ran.outputs["test_record_id"] == "9058"
    assert ran.errors == []


@pytest.mark.parametrize("value", ["", "/dev/full"])
def test_neither_a_missing_nor_a_full_summary_fails_the_step(value: str, step: InProcess) -> None:
    ran = step("github", GITHUB_STEP_SUMMARY=value)
    assert ran.exit_code == 0
    assert ran.outputs["status"] == "stopped"


def test_outputs_that_cannot_be_written_at_the_end_fail_the_step_with_the_record_in_the_log(
    step: InProcess, sim: Simulator
) -> None:
    ran = step("github", GITHUB_OUTPUT="/dev/full")
    assert ran.exit_code == 2
    assert sim.state.get("5080")["recording"] is False
    assert "test record 9058" in ran.stdout
    assert len(ran.errors) == 1
    assert "/dev/full" in ran.errors[0]


def test_an_output_file_that_fails_at_the_end_does_not_cost_github_its_outputs(
    step: InProcess,
) -> None:
    ran = step("github", STOP_RECORDING_OUTPUT_FILE="/dev/full")
    assert ran.exit_code == 2
    assert "test record 9058" in ran.stdout
    assert file_commands(ran.github_output).get("test_record_id") == "9058"
    assert "9058" in ran.summary


def test_an_output_file_that_is_bad_input_does_not_cost_later_steps_the_status(step: InProcess) -> None:
    ran = step("github", STOP_RECORDING_OUTPUT_FILE="no/such/directory.env")
    assert ran.exit_code == 2
    assert file_commands(ran.github_output).get("status") == "bad_input"


def test_a_failure_keeps_its_exit_code_when_its_outputs_fail_too(step: InProcess, sim: Simulator) -> None:
    refuse_with(sim, "no")
    ran = step("github", GITHUB_OUTPUT="/dev/full")
    assert ran.exit_code == 5
    assert len(ran.errors) == 1
    assert "::warning::" in ran.stdout
