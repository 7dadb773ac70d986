"""Waiting for the end of the security tests, and what their end amounts to."""

import json
import re
from signal import SIGTERM

import pytest

from tests.harness import LOOK, AsProcess, InProcess
from tests.plans import FAILED, GOING, INFO, TESTED, XSS, plan
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.state import View


def test_the_step_waits_until_the_tests_have_passed(verdict: InProcess, sim: Simulator) -> None:
    states: list[View] = [{"state": state} for state in ("cloning", "paused", "never_heard_of", 5)]
    plan(sim, GOING, *states, TESTED)
    ran = verdict("github")
    assert ran.exit_code == 0
    assert ran.errors == []
    assert sim.calls == [LOOK, LOOK, LOOK, LOOK, LOOK, LOOK]
    assert verdict.clock.slept == [15, 15, 15, 15, 15]
    assert ran.outputs["status"] == "passed"
    assert ran.outputs["test_run_id"] == "5080"
    assert ran.outputs["vulnerability_count"] == "0"
    assert ran.outputs["vulnerabilities"] == "[]"
    (result,) = ran.results
    assert result["state"] == "passed"
    assert result["test_record_id"] == "9058"
    assert result["passed_count"] == 5
    assert "test run 5080: passed, 5 baselines" in ran.log


@pytest.mark.parametrize(
    ("estimate", "pause"),
    [(None, 15), ("soon", 15), (-1, 15), (0, 2), (3, 2), (20, 10), (20.5, 10.25), ("20", 10), (200.5, 60)],
)
def test_polls_follow_the_estimate_within_limits(
    estimate: object, pause: float, verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, {**GOING, "estimated_time_to_completion": estimate}, TESTED)
    assert verdict().exit_code == 0
    assert verdict.clock.slept == [pause]


def test_a_line_of_progress_comes_every_30_seconds(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, *[{**GOING, "vulns": [XSS], "estimated_time_to_completion": 4}] * 46, TESTED)
    ran = verdict()
    line = "test run 5080: state running, 2 of 5 baselines checked, 1 vulnerability, about 4 s left"
    assert ran.stderr.count(line) == 4
    assert sum(verdict.clock.slept) == 92


def test_progress_says_what_is_unknown(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {"state": None, "baseline_count": None}, TESTED)
    line = "test run 5080: state unknown, ? of ? baselines checked, no vulnerabilities"
    assert line in verdict().stderr.splitlines()


INACTIVE = "warning: test run 5080: no FAST node is active"


@pytest.mark.parametrize("looks", [5, 12])
def test_a_minute_without_an_active_node_gets_one_warning(
    looks: int, verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, *[{**GOING, "node_active": False}] * looks, TESTED)
    assert verdict().stderr.count(INACTIVE) == 1


@pytest.mark.parametrize(
    "active", [[False, False, False, True] * 3, [True] * 9], ids=["now and then", "always"]
)
def test_a_node_that_is_active_at_least_once_a_minute_gets_no_warning(
    active: list[bool], verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, *({**GOING, "node_active": value} for value in active), TESTED)
    assert INACTIVE not in verdict().stderr


PAUSED = "the run is paused and does not go on by itself; resume it in the portal"


def test_a_run_that_is_paused_for_a_minute_gets_one_warning(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, *[{**GOING, "state": "paused"}] * 12, TESTED)
    ran = verdict()
    assert ran.exit_code == 0
    assert ran.stderr.count(f"warning: test run 5080: {PAUSED}") == 1


def test_a_run_that_is_paused_for_less_gets_no_warning(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, *[{**GOING, "state": "paused"}] * 4, TESTED)
    assert "warning" not in verdict().stderr


def test_a_run_that_is_paused_at_the_deadline_does_not_continue(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**GOING, "state": "paused", "node_active": False})
    ran = verdict(FAST_VERDICT_TIMEOUT="60")
    assert ran.exit_code == 11
    (error,) = ran.errors
    assert "; the run is paused; no FAST node is active, so start a container of the node" in error
    assert "; resume it in the portal" in error
    assert "the run continues" not in error


def test_an_inactive_node_is_named_at_the_deadline(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**GOING, "node_active": False})
    ran = verdict(FAST_VERDICT_TIMEOUT="60")
    assert ran.exit_code == 11
    assert "; the run continues; no FAST node is active, so start a container" in ran.errors[0]


def test_a_run_that_goes_on_beyond_the_timeout_is_unfinished(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, GOING)
    ran = verdict("github", FAST_VERDICT_TIMEOUT="70")
    assert ran.exit_code == 11
    assert ran.outputs["status"] == "unfinished"
    assert ran.results[0]["state"] == "running"
    progress = "state running, 2 of 5 baselines checked, no vulnerabilities"
    assert f"not finished before timeout ({progress}); the run continues; increase" in ran.errors[0]
    assert verdict.clock.slept == [15, 15, 15, 15, pytest.approx(5)]


def test_a_run_that_is_still_recording_is_to_be_stopped_first(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**GOING, "recording": True})
    ran = verdict(FAST_VERDICT_TIMEOUT="60")
    assert ran.exit_code == 11
    assert "recording is still on); the run continues; stop the recording first" in ran.errors[0]


@pytest.mark.parametrize(
    ("view", "min_threat"),
    [({**FAILED, "vulns": [INFO, XSS]}, "71"), ({**TESTED, "baseline_check_tech_fail_count": 4}, "1")],
)
def test_tests_that_found_nothing_that_counts_are_a_success(
    view: View, min_threat: str, verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, view)
    ran = verdict("github", FAST_VERDICT_MIN_THREAT=min_threat)
    assert ran.exit_code == 0
    assert ran.status == "passed"
    assert ran.errors == []


@pytest.mark.parametrize("threat", [20, 20.0, "20", "20.0"])
def test_a_threat_may_be_written_in_several_ways(threat: object, verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**FAILED, "vulns": [{**INFO, "threat": threat}]})
    ran = verdict("github", FAST_VERDICT_MIN_THREAT="21")
    assert ran.exit_code == 0
    assert ran.results[0]["vulnerabilities"][0]["threat"] == 20


PARTLY: list[tuple[View, str]] = [
    (
        {"baseline_check_passed_count": 3, "baseline_check_tech_fail_count": 2},
        "tested 3 of 5 baselines, 2 failed technically",
    ),
    ({"baseline_check_passed_count": 3}, "tested 3 of 5 baselines, 0 failed technically"),
    (
        {"baseline_count": None, "baseline_check_tech_fail_count": 2},
        "tested 5 of ? baselines, 2 failed technically",
    ),
    (
        {"baseline_check_passed_count": 0, "baseline_check_fail_count": 4, "vulns": [INFO]},
        "tested 4 of 5 baselines, 0 failed technically",
    ),
]


@pytest.mark.parametrize(("view", "words"), PARTLY)
def test_a_run_that_tested_some_baselines_passes_with_a_warning(
    view: View, words: str, verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, {**TESTED, **view})
    ran = verdict("github", FAST_VERDICT_MIN_THREAT="50")
    assert ran.exit_code == 0
    assert f"::warning::test run 5080: {words}\n" in ran.stdout
    assert f"passed, {words}" in re.sub(r"&#44;", ",", ran.summary).replace("&#63;", "?")


@pytest.mark.parametrize("failed", [0, None])
def test_a_run_that_does_not_say_what_passed_passes_with_a_warning(
    failed: int | None, verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, {**TESTED, "baseline_check_passed_count": None, "baseline_check_fail_count": failed})
    ran = verdict("github")
    assert ran.exit_code == 0
    warning = "the API did not return how many baselines were tested"
    assert f"::warning::test run 5080: {warning}\n" in ran.stdout


def test_a_run_that_tested_everything_gets_no_warning(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, TESTED)
    assert "warning" not in verdict("github").stdout


COUNTS = ["baseline_count", *(f"baseline_check_{kind}_count" for kind in ("passed", "fail", "tech_fail"))]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("count", [True, [1], {}, "", "many", -1, 2.5, 10**12])
def test_a_run_with_a_count_that_is_no_whole_number_does_not_pass(
    count: object, name: str, verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, {**TESTED, name: count})
    ran = verdict("github")
    assert ran.exit_code == 5
    assert ran.status == "refused"
    (error,) = ran.errors
    assert (
        error
        == f"test run 5080: not a whole number in the response: {name}; look at the test run in the portal"
    )


def test_vulnerabilities_are_reported_whatever_the_counts_are(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**TESTED, "vulns": [XSS], "baseline_check_fail_count": "many"})
    assert verdict().exit_code == 9


UNTESTED: View = {**TESTED, "baseline_check_passed_count": 0}
# What the API says, min_threat, and words of the error.
VULNERABLE: list[tuple[View, str, str]] = [
    ({**FAILED, "vulns": [INFO, XSS]}, "1", "2 vulnerabilities found: Cross-site scripting (threat 70), "),
    ({**FAILED, "vulns": [INFO, XSS]}, "50", "1 vulnerability of threat 50 or more (2 in all): Cross-"),
    ({**FAILED, "vulns": [XSS]}, "70", "1 vulnerability found"),
    ({**FAILED, "vulns": [{"code": "xss"}]}, "100", "1 vulnerability found: xss (threat unknown)"),
    ({**FAILED, "vulns": []}, "100", "the API returned no vulnerabilities"),
    *(
        ({**TESTED, "baseline_check_fail_count": count}, "1", "the API returned no vulnerabilities")
        for count in (1, 3.0, "3", "3.0")
    ),
    ({**TESTED, "vulns": "many"}, "1", "1 vulnerability found: unknown (threat unknown)"),
    ({**TESTED, "vulns": {"1": XSS}}, "1", "1 vulnerability found: Cross-site scripting (threat 70)"),
    ({**TESTED, "vulns": [XSS]}, "1", "1 vulnerability found"),
    ({**UNTESTED, "vulns": [XSS]}, "1", "1 vulnerability found"),
]


@pytest.mark.parametrize(("view", "min_threat", "words"), VULNERABLE)
def test_vulnerabilities_fail_the_step(
    view: View, min_threat: str, words: str, verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, view)
    ran = verdict("github", FAST_VERDICT_MIN_THREAT=min_threat)
    assert ran.exit_code == 9
    assert ran.status == "failed"
    (error,) = ran.errors
    assert words in error


NOT_TESTED: list[tuple[View, str]] = [
    ({**UNTESTED, "baseline_count": 0}, "nothing was tested (no baselines, 0 failed technically)"),
    ({**dict.fromkeys(UNTESTED, "0"), "state": "passed"}, "nothing was tested (5 baselines, 0 failed"),
    ({**dict.fromkeys(UNTESTED, 0.0), "state": "passed"}, "nothing was tested (5 baselines, 0 failed"),
    *(
        ({**UNTESTED, "baseline_check_tech_fail_count": count}, "(5 baselines, 5 failed technically)")
        for count in (5, 5.0, "5")
    ),
    ({**TESTED, "baseline_check_tech_fail_count": 5}, "(5 baselines, 5 failed technically)"),
    ({"state": "passed", "baseline_count": 0}, "nothing was tested (no baselines"),
    ({"state": "passed", "baseline_check_passed_count": 0}, "nothing was tested"),
    ({"state": "passed", "baseline_count": None, "baseline_check_tech_fail_count": 1}, "1 failed tech"),
]


@pytest.mark.parametrize(("view", "words"), NOT_TESTED)
def test_a_run_that_tested_nothing_fails_the_step(
    view: View, words: str, verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, view)
    ran = verdict("github")
    assert ran.exit_code == 12
    assert ran.status == "not_tested"
    (error,) = ran.errors
    assert words in error


def test_an_aborted_run_fails_the_step_whatever_it_found(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {"state": "interrupted", "vulns": [XSS]})
    ran = verdict("github")
    assert ran.exit_code == 10
    assert ran.status == "aborted"
    (error,) = ran.errors
    assert "the run was aborted: by hand, by another run with this token, or by a second container" in error


def test_several_runs_are_waited_for_at_the_same_time(verdict: InProcess, sim: Simulator) -> None:
    sim.state.create_run("second")
    plan(sim, GOING, TESTED)
    plan(sim, GOING, GOING, {**FAILED, "vulns": [XSS]}, run=5081)
    ran = verdict("github", TEST_RUN_ID="5080,5081,5082")
    assert ran.exit_code == 4  # not 9, which a pipeline may allow
    assert [result["state"] for result in ran.results] == ["passed", "failed", None]
    assert ran.outputs["status"] == "not_found"
    assert ran.outputs["vulnerability_count"] == "1"
    (found,) = json.loads(ran.outputs["vulnerabilities"])
    assert found == {**XSS, "id": "7", "test_run_id": "5081"}
    assert [line.partition(":")[0] for line in ran.errors] == ["test run 5081", "test run 5082"]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_an_hour_of_failing_polls_is_survived(code: int, verdict: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(code), "GET", 350)
    plan(sim, TESTED)
    ran = verdict(FAST_VERDICT_TIMEOUT="7200")
    assert ran.exit_code == 0
    assert ran.errors == []
    assert sum(verdict.clock.slept) > 3400


@pytest.mark.parametrize(("answer", "exit_code"), [(403, 3), (404, 4), (400, 5), (302, 5), (503, 6)])
def test_a_run_that_cannot_be_seen_fails_as_in_the_stop_step(
    answer: int, exit_code: int, verdict: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(answer), "GET", None)
    assert verdict().exit_code == exit_code


def test_an_answer_about_another_run_is_not_used(verdict: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(200, {**TESTED, "id": 9999}), "GET")
    plan(sim, {**FAILED, "vulns": [XSS]})
    assert verdict().exit_code == 9


def test_a_process_that_was_paused_beyond_the_deadline_is_not_finished(
    verdict: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(sim, GOING)
    sleep = verdict.clock.sleep
    monkeypatch.setattr(verdict.clock, "sleep", lambda seconds: sleep(seconds + 9999))
    ran = verdict("github")
    assert ran.exit_code == 11
    assert ran.results[0]["state"] == "running"
    assert "not finished before timeout (state running" in ran.errors[0]


@pytest.mark.parametrize("state", ["running", 5, None])
def test_a_process_that_was_paused_during_a_poll_is_not_finished(
    state: object, verdict: InProcess, sim: Simulator
) -> None:
    def pause(exchange: Exchange) -> None:
        verdict.clock.now += 9999
        exchange.reset()

    sim.faults.add(faults.envelope(200, {**GOING, "id": 5080, "state": state}), "GET")
    sim.faults.add(pause, "GET")
    assert verdict().exit_code == 11


def test_a_verdict_that_arrived_while_the_process_was_paused_counts(
    verdict: InProcess, sim: Simulator
) -> None:
    def pause(exchange: Exchange) -> None:
        exchange.answer(200, {"status": 200, "body": {**TESTED, "id": 5080}})
        verdict.clock.now += 9999

    sim.faults.add(pause, "GET")
    assert verdict().exit_code == 0


def test_a_process_that_was_paused_before_the_first_response_knows_nothing(
    verdict: InProcess, sim: Simulator
) -> None:
    def pause(exchange: Exchange) -> None:
        verdict.clock.now += 9999
        exchange.reset()

    sim.faults.add(pause, "GET")
    assert verdict().exit_code == 6


def test_a_signal_ends_the_wait_and_keeps_what_is_known(verdict_process: AsProcess, sim: Simulator) -> None:
    plan(sim, {**GOING, "vulns": [XSS]})
    ran = verdict_process("github", [SIGTERM], lambda: "2 of 5 baselines checked" in verdict_process.log())
    assert ran.exit_code == 143
    assert ran.outputs["status"] == "interrupted"
    assert ran.outputs["vulnerability_count"] == "1"
    assert ran.results[0]["state"] == "running"
    assert "interrupted by SIGTERM" in ran.errors[0]
