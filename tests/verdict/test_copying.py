"""Copying a run with a test record: once, and never while another run would be aborted."""

import json
import os
import signal
from typing import Any

import pytest

from tests.harness import LOOK, TOKEN, InProcess
from tests.plans import FAILED, GOING, LOST, TESTED, XSS, plan
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.faults import Fault

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
    assert ran.exit_code == 0
    assert ran.errors == []
    assert sim.calls == [CREATE, "GET /v1/test_run/5081", "GET /v1/test_run/5081"]
    assert created(sim) == [{"name": "Test record 9058, pipeline 1234", "test_record_id": 9058}]
    assert ran.outputs["test_run_id"] == "5081"
    assert ran.results[0]["test_record_id"] == "9058"


def test_the_fields_of_the_copy_are_those_of_the_inputs(copying: InProcess, sim: Simulator) -> None:
    plan(sim, TESTED, run=5081)
    fields = {"name": "nightly", "desc": "of main", "policy_id": 12, "rps": 50, "stop_on_first_fail": True}
    env = {f"TEST_RUN_{name.upper()}": f"{value}" for name, value in fields.items()}
    assert copying(FILE_EXTENSIONS_TO_EXCLUDE="ico|png", **env).exit_code == 0
    fields |= {"test_record_id": 9058, "file_extensions_to_exclude": "ico|png"}
    assert created(sim) == [fields]


def test_the_recorded_run_ends_before_it_is_copied(copying: InProcess, sim: Simulator) -> None:
    plan(sim, GOING, GOING, FAILED)
    plan(sim, TESTED, run=5081)
    ran = copying("github", TEST_RUN_ID="5080")
    assert ran.exit_code == 0
    assert sim.calls == [LOOK, LOOK, LOOK, CREATE, "GET /v1/test_run/5081"]
    assert len(ran.results) == 1


def test_the_recorded_run_is_copied_at_once_without_wait_for_idle(copying: InProcess, sim: Simulator) -> None:
    plan(sim, GOING, GOING, FAILED)
    plan(sim, TESTED, run=5081)
    ran = copying("github", TEST_RUN_ID="5080", FAST_VERDICT_WAIT_FOR_IDLE="false")
    assert ran.exit_code == 0
    assert sim.calls == [CREATE, "GET /v1/test_run/5081"]
    assert len(ran.results) == 1


def test_nothing_is_copied_while_the_recorded_run_goes_on(copying: InProcess, sim: Simulator) -> None:
    plan(sim, GOING)
    ran = copying("github", TEST_RUN_ID="5080", FAST_VERDICT_TIMEOUT="60")
    assert ran.exit_code == 11
    assert created(sim) == []
    why = "not copied, since test run 5080 is not known to have ended: not finished before timeout"
    assert ran.errors[0].startswith(f"test record 9058: {why}")
    assert ran.outputs["test_run_id"] == ""


def test_several_copies_run_one_after_the_other_whatever_happens_to_them(
    copying: InProcess, sim: Simulator
) -> None:
    sim.state.create_run("second", recording=False)
    sim.state.find("5081").record.arrivals.append(0)
    plan(sim, GOING, {**FAILED, "vulns": [XSS]}, run=5083)
    plan(sim, GOING, {"state": "interrupted"}, run=5084)
    sim.state.create_run("third")
    ran = copying("github", TEST_RECORD_ID="77 9060 9058 9059 78")
    assert ran.exit_code == 4
    first, second = "GET /v1/test_run/5083", "GET /v1/test_run/5084"
    assert sim.calls == [CREATE, CREATE, CREATE, first, first, CREATE, second, second]
    assert [result["test_run_id"] for result in ran.results] == ["", "", "5083", "5084", ""]
    assert [result["state"] for result in ran.results] == [None, None, "failed", "interrupted", None]
    unknown, recording, *_, last = ran.errors
    assert last.endswith("not copied, because of the error before it")  # the node may have a run of another
    assert "test record not found at " in unknown
    assert "check test_record_id and cloud_region" in unknown
    assert "::error title=Wallarm FAST%3A Test record not found::" in ran.log
    assert recording.endswith("; a copy needs a stopped recording and a record that is not empty")


def test_nothing_is_copied_if_the_recorded_run_was_aborted(copying: InProcess, sim: Simulator) -> None:
    plan(sim, GOING, {"state": "interrupted"})
    ran = copying("github", TEST_RUN_ID="5080")
    assert ran.exit_code == 10
    assert ran.status == "aborted"
    assert created(sim) == []
    why = "not copied, since test run 5080 was aborted: another may be on the node"
    assert ran.errors == [f"test record 9058: {why}"]


def test_nothing_is_copied_after_the_process_was_paused_beyond_the_deadline(
    copying: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(sim, GOING)
    sleep = copying.clock.sleep
    monkeypatch.setattr(copying.clock, "sleep", lambda seconds: sleep(seconds + 9999))
    ran = copying("github", TEST_RUN_ID="5080")
    assert ran.exit_code == 11
    assert created(sim) == []


NOT_NEW = {
    "the run that was waited for": {"id": 5080, "test_record_id": 9058},
    "another record": {"id": 5081, "test_record_id": 9059},
    "an odd record": {"id": 5081, "test_record_id": "../x"},
    "a record in words": {"id": 5081, "test_record_id": "other record"},
    "a record that is no whole number": {"id": 5081, "test_record_id": 9058.0},
    "a record that is an object": {"id": 5081, "test_record_id": {"id": 9058}},
}


@pytest.mark.parametrize("body", NOT_NEW.values(), ids=NOT_NEW)
def test_a_copy_must_be_a_new_run_of_the_record(
    body: dict[str, object], copying: InProcess, sim: Simulator
) -> None:
    plan(sim, TESTED)
    sim.faults.add(faults.envelope(200, body), "POST")
    ran = copying("github", TEST_RUN_ID="5080", TEST_RECORD_ID="9058 9059")
    assert ran.exit_code == 5
    assert sim.calls == [LOOK, CREATE]
    unusable, not_copied = ran.errors
    assert unusable.endswith("; a copy may be running, look in the portal before you try again")
    assert not_copied == "test record 9059: not copied, because of the error before it"


def test_a_copy_must_not_be_the_recorded_run_that_is_not_waited_for(
    copying: InProcess, sim: Simulator
) -> None:
    plan(sim, TESTED)
    sim.faults.add(faults.envelope(200, {"id": 5080}), "POST")
    ran = copying("github", TEST_RUN_ID="5080", FAST_VERDICT_WAIT_FOR_IDLE="false")
    assert ran.exit_code == 5
    assert sim.calls == [CREATE]
    (error,) = ran.errors
    assert error.endswith("; a copy may be running, look in the portal before you try again")


def test_a_second_copy_must_not_be_the_first(copying: InProcess, sim: Simulator) -> None:
    plan(sim, TESTED, run=5081)
    sim.faults.add(faults.envelope(200, {"id": 5081}), "POST", 2)
    ran = copying("github", TEST_RECORD_ID="9058 9059")
    assert ran.exit_code == 5
    (error,) = ran.errors
    assert error.startswith("test record 9059: ")
    assert error.endswith("; a copy may be running, look in the portal before you try again")


def test_a_new_copy_may_be_unknown_for_a_while(copying: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(404), "GET", 4)
    plan(sim, TESTED, run=5081)
    assert copying().exit_code == 0


def test_a_new_copy_that_stays_unknown_is_not_found_after_30_seconds(
    copying: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(404), "GET", None)
    ran = copying("github")
    assert ran.exit_code == 4
    assert 20 < sum(copying.clock.slept) < 31
    assert ran.errors[0].startswith("test run 5081: test run not found at ")
    assert ran.errors[0].endswith("; the copy may still be running")


def test_an_older_run_that_is_unknown_is_not_found_at_once(copying: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(404), "GET", None)
    assert copying(TEST_RUN_ID="5080").exit_code == 4
    assert copying.clock.slept == []


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_copy_whose_answer_is_lost_is_not_requested_again(
    fault: Fault, copying: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, "POST")
    ran = copying("github", TEST_RECORD_ID="9058 9059")
    assert ran.exit_code == 6
    assert sim.calls == [CREATE]
    first, second = ran.errors
    assert "; a copy may be running, look in the portal" in first
    assert second == "test record 9059: not copied, because of the error before it"


@pytest.mark.parametrize(
    ("on", "words", "test_run_id"),
    [
        ("POST", "a copy may be running, look in the portal", ""),
        ("GET", "the copy may still be running", "5081"),
    ],
)
def test_a_signal_leaves_word_of_the_copy(
    on: faults.On, words: str, test_run_id: str, copying: InProcess, sim: Simulator
) -> None:
    def interrupt(exchange: Exchange) -> None:
        exchange.act()
        os.kill(os.getpid(), signal.SIGTERM)
        exchange.wait(None)

    sim.faults.add(interrupt, on)
    ran = copying("github")
    assert ran.exit_code == 143
    assert f"interrupted by SIGTERM; {words}" in ran.errors[0]
    assert ran.outputs["test_run_id"] == test_run_id


def test_a_copy_that_does_not_end_in_time_can_be_waited_for_without_another(
    copying: InProcess, sim: Simulator
) -> None:
    plan(sim, GOING, run=5081)
    ran = copying(FAST_VERDICT_TIMEOUT="60")
    assert ran.exit_code == 11
    assert "to keep waiting, run the step with test_run_id 5081 and without copy" in ran.errors[0]


NOT_COPIED = "test record 9059: not copied, because of the error before it"


def test_a_refused_token_keeps_the_other_records_from_being_copied(
    copying: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(403), "POST")
    ran = copying("github", TEST_RECORD_ID="9058 9059")
    assert ran.exit_code == 3
    assert len(sim.calls) == 1
    refused, not_copied = ran.errors
    assert "running" not in refused
    assert not_copied == NOT_COPIED


def test_a_copy_that_cannot_be_seen_keeps_the_other_records_from_being_copied(
    copying: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(400), "GET")
    ran = copying("github", TEST_RECORD_ID="9058 9059")
    assert ran.exit_code == 5
    assert len(sim.calls) == 2
    refused, not_copied = ran.errors
    assert refused.endswith("the copy may still be running")
    assert not_copied == NOT_COPIED


def test_a_copy_is_requested_until_a_connection_comes_about(copying: InProcess, closed_port: int) -> None:
    ran = copying(WALLARM_API_HOST=f"http://127.0.0.1:{closed_port}", FAST_VERDICT_TIMEOUT="60")
    assert ran.exit_code == 6
    assert len(copying.clock.slept) > 5
    assert "may be running" not in ran.log


MIN_THREAT = "min_threat (FAST_VERDICT_MIN_THREAT): must be a whole number, 1 to 100, not"
COPY = "FAST_VERDICT_COPY=true TEST_RECORD_ID=9058"
BAD_INPUT = {
    "TEST_RUN_ID=": "test_run_id (TEST_RUN_ID): is required",
    "TEST_RUN_ID= TEST_RECORD_ID=9058": "copy (FAST_VERDICT_COPY): must be true to test again with",
    "FAST_VERDICT_COPY=true": "test_record_id (TEST_RECORD_ID): is required",
    "FAST_VERDICT_COPY=maybe": "copy (FAST_VERDICT_COPY): must be true or false",
    "FAST_VERDICT_MIN_THREAT=0": f"{MIN_THREAT} '0'",
    "FAST_VERDICT_MIN_THREAT=101": f"{MIN_THREAT} '101'",
    "FAST_VERDICT_TIMEOUT=0": "timeout (FAST_VERDICT_TIMEOUT): must be a number of seconds, more than 0",
    "FAST_VERDICT_JUNIT_FILE=/no/such": "junit_file (FAST_VERDICT_JUNIT_FILE): '/no/such' cannot",
    f"{COPY} TEST_RUN_ID=null FAST_VERDICT_WAIT_FOR_IDLE=false": "test_run_id (TEST_RUN_ID): is required",
    f"{COPY} TEST_RUN_RPS=1001": "rps (TEST_RUN_RPS): must be a whole number, 0 to 1000, not '1001'",
    f"{COPY} TEST_RUN_NAME=x{TOKEN}": "name (TEST_RUN_NAME): contains the token",
    f"{COPY} TEST_RUN_NAME=caf\udce9": "name (TEST_RUN_NAME): is not UTF-8 text",
    f"{COPY} TEST_RUN_POLICY_ID={'1' * 5000}": "policy_id (TEST_RUN_POLICY_ID): is not an id",
    "FAST_VERDICT_JUNIT_FILE=x FAST_VERDICT_OUTPUT_FILE=x": (
        "output_file (FAST_VERDICT_OUTPUT_FILE): 'x' is also an output file"
    ),
}


@pytest.mark.parametrize(("variables", "problem"), BAD_INPUT.items(), ids=BAD_INPUT.values())
def test_bad_input_is_named_before_any_request(
    variables: str, problem: str, verdict: InProcess, sim: Simulator
) -> None:
    ran = verdict("github", **dict(variable.split("=") for variable in variables.split()))
    assert ran.exit_code == 2
    assert ran.outputs["status"] == "bad_input"
    assert sim.calls == []
    assert sum(problem in line for line in ran.errors) == 1
    assert ran.outputs["vulnerability_count"] == ""


def test_a_misspelled_variable_gets_a_warning(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, TESTED)
    ran = verdict(FAST_VERDICT_MIN_THREATS="5", FAST_VERDICT_STATUS="passed")
    assert ran.exit_code == 0
    (warning,) = [line for line in ran.stderr.splitlines() if line.startswith("warning")]
    assert "FAST_VERDICT_MIN_THREATS is unknown and ignored; did you mean FAST_VERDICT_MIN_THREAT?" in warning
    assert (
        warning in verdict(FAST_VERDICT_MIN_THREATS="5", FAST_VERDICT_COPY="maybe").stderr
    )  # may explain it
