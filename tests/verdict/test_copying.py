"""Copying a run with a test record: once, and never while another run would be aborted."""

import json
from typing import Any

import pytest

from tests.conftest import LOOK, TOKEN, InProcess
from tests.tools.simulator import Simulator, faults
from tests.tools.simulator.faults import Fault
from tests.verdict.test_waiting import FAILED, GOING, TESTED, XSS, plan

CREATE = "POST /v1/test_run"


@pytest.fixture
def copying(verdict: InProcess, sim: Simulator) -> InProcess:
    """The verdict step, about to copy with the record of the run 5080, which has ended; the copy is 5081."""
    verdict.base |= {"FAST_VERDICT_COPY": "true", "TEST_RECORD_ID": "9058", "TEST_RUN_ID": ""}
    sim.state.stop("5080")
    return verdict


def created(sim: Simulator) -> list[dict[str, Any]]:
    """Return the fields of each copy that was asked for."""
    return [json.loads(request.body) for request in sim.requests if request.path == "/v1/test_run"]


def test_a_copy_is_made_and_waited_for(copying: InProcess, sim: Simulator) -> None:
    plan(sim, GOING, TESTED, run=5081)
    ran = copying("github", GITHUB_RUN_ID="1234")
    assert (ran.exit_code, ran.errors) == (0, [])
    assert sim.calls == [CREATE, *["GET /v1/test_run/5081"] * 2]
    assert created(sim) == [{"name": "Test record 9058, pipeline 1234", "test_record_id": "9058"}]
    assert (ran.outputs["test_run_id"], ran.results[0]["test_record_id"]) == ("5081", "9058")


def test_the_fields_of_the_copy_are_those_of_the_inputs(copying: InProcess, sim: Simulator) -> None:
    plan(sim, TESTED, run=5081)
    ran = copying(
        TEST_RUN_NAME="nightly",
        TEST_RUN_DESC="of main",
        TEST_RUN_POLICY_ID="12",
        TEST_RUN_RPS="50",
        TEST_RUN_STOP_ON_FIRST_FAIL="true",
        FILE_EXTENSIONS_TO_EXCLUDE="ico|png",
    )
    assert ran.exit_code == 0
    assert created(sim) == [
        {
            "name": "nightly",
            "test_record_id": "9058",
            "desc": "of main",
            "policy_id": 12,
            "rps": 50,
            "stop_on_first_fail": True,
            "file_extensions_to_exclude": "ico|png",
        }
    ]


@pytest.mark.parametrize("wait", [True, False])
def test_the_recorded_run_ends_before_it_is_copied(wait: bool, copying: InProcess, sim: Simulator) -> None:
    plan(sim, GOING, GOING, FAILED)
    plan(sim, TESTED, run=5081)
    ran = copying("github", TEST_RUN_ID="5080", FAST_VERDICT_WAIT_FOR_IDLE=str(wait))
    assert ran.exit_code == 0
    assert sim.calls == [*[LOOK] * (3 if wait else 0), CREATE, "GET /v1/test_run/5081"]
    assert len(ran.results) == 1


def test_nothing_is_copied_while_the_recorded_run_goes_on(copying: InProcess, sim: Simulator) -> None:
    plan(sim, GOING)
    ran = copying("github", TEST_RUN_ID="5080", FAST_VERDICT_TIMEOUT="60")
    assert ran.exit_code == 11
    assert created(sim) == []
    assert (
        "test record 9058: not copied, since test run 5080 is not known to have ended: running"
        in ran.errors[0]
    )
    assert ran.outputs["test_run_id"] == ""


def test_several_copies_run_one_after_the_other_whatever_they_find(
    copying: InProcess, sim: Simulator
) -> None:
    sim.state.create_run("second", recording=False)
    sim.state.find("5081").record.arrivals.append(0)
    plan(sim, GOING, {**FAILED, "vulns": [XSS]}, run=5082)
    plan(sim, GOING, {"state": "interrupted"}, run=5083)
    ran = copying("github", TEST_RECORD_ID="9058 9059")
    assert ran.exit_code == 9
    first, second = ["GET /v1/test_run/5082"] * 2, ["GET /v1/test_run/5083"] * 2
    assert sim.calls == [CREATE, *first, CREATE, *second]
    assert [result["test_run_id"] for result in ran.results] == ["5082", "5083"]
    assert [result["state"] for result in ran.results] == ["failed", "interrupted"]


LOST = {
    "reset": faults.reset_after(),
    "cut": faults.cut(),
    "closed": faults.close_without_answer(),
    "502": faults.answer(502, act=True),
    "not JSON": faults.answer(200, "<html>", act=True),
    "no id": faults.envelope(200, {"state": "cloning"}, act=True),
    "odd id": faults.envelope(200, {"id": "../x"}, act=True),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_copy_whose_answer_is_lost_is_not_requested_again(
    fault: Fault, copying: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, "POST")
    ran = copying("github", TEST_RECORD_ID="9058 9059")
    assert ran.exit_code == 6
    assert sim.calls == [CREATE]
    first, second = ran.errors
    assert "a copy may be running all the same" in first
    assert second == "test record 9059: not copied, since the run before it is not known to have ended"


@pytest.mark.parametrize("code", [423, 429])
def test_a_copy_that_was_turned_away_is_requested_again(
    code: int, copying: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(code, headers={"Retry-After": "7"}), "POST", 3)
    plan(sim, TESTED, run=5081)
    assert copying().exit_code == 0
    assert sim.calls.count(CREATE) == 4
    assert copying.clock.slept[:3] == [7, 7, 7]


def test_a_copy_is_requested_until_a_connection_comes_about(copying: InProcess, closed_port: int) -> None:
    ran = copying(WALLARM_API_HOST=f"http://127.0.0.1:{closed_port}", FAST_VERDICT_TIMEOUT="60")
    assert ran.exit_code == 6
    assert len(copying.clock.slept) > 5
    assert "may be running" not in ran.log


def test_a_record_that_is_still_recording_cannot_be_copied(copying: InProcess, sim: Simulator) -> None:
    sim.state.create_run("second")
    ran = copying(TEST_RECORD_ID="9059")
    assert ran.exit_code == 5
    assert "test record 9059: cannot be copied: " in ran.errors[0]
    assert "not_ready_for_cloning" in ran.errors[0]
    assert "the recording must be stopped, and the record not empty" in ran.errors[0]


def test_an_unknown_record_is_named(copying: InProcess) -> None:
    ran = copying(TEST_RECORD_ID="77")
    assert ran.exit_code == 4
    assert "knows no such test record" in ran.errors[0]
    assert "check test_record_id and cloud_region" in ran.errors[0]


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        ({"TEST_RUN_ID": ""}, "test_run_id (TEST_RUN_ID): is required"),
        ({"FAST_VERDICT_COPY": "true"}, "test_record_id (TEST_RECORD_ID): is required"),
        ({"FAST_VERDICT_COPY": "maybe"}, "copy (FAST_VERDICT_COPY): must be true or false"),
        (
            {"FAST_VERDICT_MIN_THREAT": "0"},
            "min_threat (FAST_VERDICT_MIN_THREAT): must be a whole number, 1 to 100",
        ),
        ({"FAST_VERDICT_MIN_THREAT": "101"}, "must be a whole number, 1 to 100, not '101'"),
        ({"FAST_VERDICT_TIMEOUT": "0"}, "timeout (FAST_VERDICT_TIMEOUT): must be more than 0"),
        (
            {"FAST_VERDICT_JUNIT_FILE": "no/such/folder"},
            "junit_file (FAST_VERDICT_JUNIT_FILE): 'no/such/folder' cannot",
        ),
        (
            {"FAST_VERDICT_COPY": "true", "TEST_RECORD_ID": "9058", "TEST_RUN_RPS": "1001"},
            "rps (TEST_RUN_RPS): must be a whole number, 1 to 1000, not '1001'",
        ),
        (
            {"FAST_VERDICT_COPY": "true", "TEST_RECORD_ID": "9058", "TEST_RUN_NAME": f"x{TOKEN}"},
            "name (TEST_RUN_NAME): contains the token",
        ),
    ],
)
def test_bad_input_is_named_before_any_request(
    env: dict[str, str], problem: str, verdict: InProcess, sim: Simulator
) -> None:
    ran = verdict("github", **env)
    assert ran.exit_code == 2
    assert [problem in line for line in ran.errors] == [True]
    assert ran.outputs["status"] == "bad_input"
    assert sim.calls == []


def test_a_misspelt_variable_gets_a_warning(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, TESTED)
    ran = verdict(FAST_VERDICT_MIN_THREATS="5", FAST_VERDICT_STATUS="passed")
    assert ran.exit_code == 0
    (warning,) = [line for line in ran.stderr.splitlines() if line.startswith("warning")]
    assert "FAST_VERDICT_MIN_THREATS is unknown and ignored; did you mean FAST_VERDICT_MIN_THREAT?" in warning
