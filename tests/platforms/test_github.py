"""GitHub Actions: commands on stdout, GITHUB_OUTPUT, the job summary."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.harness import TOKEN, InProcess, reporter_of, stop_result
from tests.tools.simulator import Simulator, faults
from wallarm_fast.errors import RefusedError
from wallarm_fast.stop.report import StopReport, StopResult


@pytest.mark.parametrize(
    ("env", "mask"),
    [
        ({}, f"::add-mask::{TOKEN}"),
        ({"STOP_RECORDING_TIMEOUT": "x", "RUNNER_DEBUG": "1"}, f"::add-mask::{TOKEN}"),
        ({"WALLARM_API_TOKEN": "", "WALLARM_API_TOKEN_FILE": "token"}, f"::add-mask::{TOKEN}"),
        ({"WALLARM_API_TOKEN": "hush %\n\udcffhush"}, "::add-mask::hush %25%0A?hush"),
    ],
)
def test_the_token_and_nothing_else_is_masked_on_the_very_first_line(
    env: Mapping[str, str], mask: str, stop: InProcess
) -> None:
    (stop.directory / "token").write_text(f"{TOKEN}\n", "utf-8-sig")  # begins with a byte order mark
    ran = stop("github", **env)
    first, *others = ran.stdout.split("\n")
    assert first == mask
    assert "add-mask" not in "\n".join(others)
    assert "hush" not in "\n".join(others)
    assert ran.stderr == ""


def test_nothing_is_masked_without_a_token(stop: InProcess) -> None:
    ran = stop("github", WALLARM_API_TOKEN="")
    assert "add-mask" not in ran.stdout
    assert ran.stderr == ""


def test_the_work_is_a_group_and_its_outcome_a_plain_line(stop: InProcess, sim: Simulator) -> None:
    ran = stop("github", RUNNER_DEBUG="1")
    *others, outcome = [line for line in ran.stdout.splitlines() if not line.startswith("::debug::")]
    group = f"::group::Stopping the recording of test run 5080 at {sim.url}"
    assert others == [f"::add-mask::{TOKEN}", group, "::endgroup::"]
    assert outcome == "test run 5080: recording stopped, test record 9058, baselines 5, state running"
    assert "\n::debug::POST /v1/test_run/5080/action/stop -> 200 in 0" in ran.stdout
    assert stop("github").stdout.splitlines() == [*others, outcome]


def test_an_error_is_one_annotation_with_a_title_after_the_group(stop: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, "100%\nof %0A::x", http=400), on="POST")
    *_, end, error = stop("github", GITHUB_STEP_SUMMARY="").stdout.splitlines()
    assert end == "::endgroup::"
    start = "::error title=Wallarm FAST%3A Request refused::test run 5080: the API refused the request "
    assert error == f"{start}(HTTP 400: 100%25 of %250A::x); recording may still be on"


def test_bad_input_has_every_output(stop: InProcess) -> None:
    assert stop("github", TEST_RUN_ID="").outputs == {
        "test_record_id": "",
        "test_record_ids": "[]",
        "status": "bad_input",
        "test_run_state": "",
        "baseline_count": "",
        "results": "[]",
    }


OUTPUTS = "test_record_id test_record_ids status test_run_state baseline_count results".split()
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
RESULTS = st.builds(
    stop_result,
    test_run_id=IDS,
    test_record_id=st.none() | IDS,
    recording=st.none() | st.booleans(),
    already_stopped=st.booleans(),
    state=st.none() | st.from_regex(r"[a-z_]{1,32}", fullmatch=True),
    baseline_count=st.none() | st.integers(0, 10**9),
    url=st.none() | IDS.map("https://us1.my.wallarm.com/testing/testruns/".__add__),
    error=st.none() | st.builds(RefusedError, st.text(st.characters(codec=None))),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RESULTS, min_size=1, max_size=4))
@example([stop_result("1", error=RefusedError("ghadelimiter_\nstatus=stopped\u2028::error::##[x]\x1b[2J"))])
def test_the_runner_reads_any_result_back_after_what_earlier_steps_wrote(
    tmp_path: Path, results: list[StopResult]
) -> None:
    output, summary = tmp_path / "output", tmp_path / "summary"
    output.write_text("before=1\n")
    summary.write_text("# Before\n")
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    with reporter_of(environ) as reporter:
        reporter.write_outputs(StopReport(results=results).make_outputs([]))
        reporter.write_summary(StopReport(results=results).make_outputs([]))
    assert summary.read_text().startswith("# Before\n### Wallarm FAST")
    text = output.read_text()
    found = re.findall(r"(\w+)<<(\S+)\n([^\n]*)\n", text)
    assert text == "before=1\n" + "".join(f"{name}<<{mark}\n{value}\n{mark}\n" for name, mark, value in found)
    assert all(value.isprintable() and mark not in value for _, mark, value in found)
    outputs = {name: value for name, _, value in found}
    assert list(outputs) == OUTPUTS
    records = [result.latest.test_record_id for result in results if result.latest.test_record_id]
    assert json.loads(outputs["test_record_ids"]) == records
    for shown, result in zip(json.loads(outputs["results"]), results, strict=True):
        error = shown.pop("error")
        assert shown == {
            "test_run_id": result.test_run_id,
            "test_record_id": result.latest.test_record_id,
            "recording": result.latest.recording,
            "already_stopped": result.already_stopped,
            "state": result.latest.state,
            "baseline_count": result.latest.baseline_count,
            "url": result.url,
        }
        assert (error is None) == (result.error is None)
        assert error is None or error.isprintable()
