"""Waiting until the FAST node is ready to record."""

import re
from signal import SIGTERM

import pytest

from tests.harness import SOON, AsProcess, InProcess
from tests.plans import plan
from tests.tools.simulator import Simulator, faults
from tests.tools.simulator.state import View

CREATE = "POST /v1/test_run"
POLL = "GET /v1/test_run/5081"
READY: View = {"ready_for_recording": True}
NOT_READY: View = {"ready_for_recording": False}
ACTIVE: View = {"node_active": True}
INACTIVE: View = {"node_active": False}
UNKNOWN: View = {"node_active": None}


@pytest.fixture
def silent(sim: Simulator) -> Simulator:
    """The response to the create says nothing of the node."""
    sim.state.rules.omit_in_create = {"ready_for_recording", "node_active"}
    return sim


def test_a_node_that_is_ready_at_once_is_not_polled(start: InProcess, sim: Simulator) -> None:
    ran = start("github")
    assert ran.exit_code == 0
    assert ran.outputs["status"] == "ready"
    assert sim.calls == [CREATE]
    assert start.clock.slept == []


def test_the_step_waits_until_the_node_is_ready(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.ready_delay = 5
    ran = start("github")
    assert ran.exit_code == 0
    assert ran.errors == []
    assert sim.calls == [CREATE, POLL, POLL, POLL]
    assert start.clock.slept == [2, 2, 2]
    assert "test run 5081: created; waiting until the FAST node is ready\n" in ran.stdout


def test_polls_are_rarer_after_30_seconds_and_the_last_one_is_just_before_the_deadline(
    start: InProcess, sim: Simulator
) -> None:
    sim.state.rules.node_active = False
    assert start(START_RECORDING_TIMEOUT="44").exit_code == 13
    assert start.clock.slept == [*[2] * 15, 5, 5, pytest.approx(3)]


def test_a_node_that_gets_ready_just_before_the_deadline_counts(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.ready_delay = 42.5
    assert start(START_RECORDING_TIMEOUT="44").exit_code == 0


def test_a_short_timeout_leaves_time_for_a_poll(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.ready_delay = 0.2
    assert start(START_RECORDING_TIMEOUT="1").exit_code == 0
    assert start.clock.slept == [pytest.approx(0.5)]


def test_what_is_missing_is_logged_every_15_seconds(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.node_active = False
    ran = start(START_RECORDING_TIMEOUT="60")
    line = "test run 5081: no container of the FAST node runs with this token (node_active: false)"
    left = re.findall(f"^{re.escape(line)}; (.*)$", ran.stderr, re.MULTILINE)
    assert left == ["59 s left", "43 s left", "24 s left", "9 s left"]


def test_a_container_that_starts_late_still_has_to_get_ready(start: InProcess, silent: Simulator) -> None:
    plan(silent, INACTIVE | NOT_READY, NOT_READY, *[NOT_READY] * 10, READY, run=5081)
    ran = start()
    assert ran.exit_code == 0
    assert sum(start.clock.slept) == 26
    assert "\ntest run 5081: the FAST node is not ready to record yet; " in ran.stderr


ASSUMED = "the FAST node is assumed to be ready after 10 s"


def test_an_active_node_counts_after_10_seconds_where_the_api_does_not_tell_readiness(
    start: InProcess, silent: Simulator
) -> None:
    plan(silent, INACTIVE, INACTIVE, ACTIVE, run=5081)
    ran = start()
    assert ran.exit_code == 0
    assert start.clock.slept == [2] * 8
    assert f"warning: test run 5081: the API returned no ready_for_recording; {ASSUMED}" in ran.stderr


def test_a_node_that_is_lost_has_to_be_active_for_10_seconds_again(
    start: InProcess, silent: Simulator
) -> None:
    plan(silent, *[ACTIVE] * 4, INACTIVE, ACTIVE, run=5081)
    assert start().exit_code == 0
    assert start.clock.slept == [2] * 11


def test_the_node_counts_10_seconds_after_the_create_where_the_api_tells_nothing(
    start: InProcess, silent: Simulator
) -> None:
    plan(silent, UNKNOWN, run=5081)
    ran = start()
    assert ran.exit_code == 0
    assert start.clock.slept == [2] * 5
    known = "neither ready_for_recording nor node_active"
    assert f"warning: test run 5081: the API returned {known}; {ASSUMED}" in ran.stderr


def test_a_node_that_was_inactive_stays_so_until_the_api_says_otherwise(
    start: InProcess, silent: Simulator
) -> None:
    plan(silent, INACTIVE, UNKNOWN, run=5081)
    ran = start(START_RECORDING_TIMEOUT="60")
    assert ran.exit_code == 13
    assert "no container of the FAST node runs with this token" in ran.errors[0]


def test_null_is_as_good_as_absent(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.overrides = {"ready_for_recording": None, "node_active": None}
    ran = start()
    assert ran.exit_code == 0
    assert start.clock.slept == [2] * 5
    assert "the API returned neither" in ran.stderr


def test_nothing_is_assumed_of_an_api_that_told_readiness_once(start: InProcess, silent: Simulator) -> None:
    plan(silent, NOT_READY, *[ACTIVE] * 20, READY, run=5081)
    ran = start()
    assert ran.exit_code == 0
    assert len(silent.calls) == 23
    assert "warning" not in ran.stderr


@pytest.mark.parametrize("state", ["interrupted", "passed", "failed"])
def test_a_run_that_ends_ends_the_wait_at_once(state: str, start: InProcess, silent: Simulator) -> None:
    plan(silent, NOT_READY, {**READY, "state": state}, run=5081)
    ran = start("github")
    assert ran.exit_code == 10
    assert ran.outputs["status"] == "aborted"
    assert ran.outputs["test_run_id"] == "5081"
    assert silent.calls == [CREATE, POLL, POLL]
    (error,) = ran.errors
    assert error.startswith(f"test run 5081: the test run was aborted (state {state}): by hand, by another")


def test_a_run_that_has_ended_when_it_is_created_is_not_polled(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.overrides = {"state": "interrupted"}
    assert start().exit_code == 10
    assert sim.calls == [CREATE]


@pytest.mark.parametrize("state", ["cloning", "running", "paused", "running_scheduled", 5, None])
def test_any_other_state_goes_on(state: object, start: InProcess, sim: Simulator) -> None:
    sim.state.rules.overrides = {"state": state}
    sim.state.rules.ready_delay = 3
    assert start().exit_code == 0


def test_a_node_without_a_container_is_not_ready_in_time(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.node_active = False
    ran = start("github", START_RECORDING_TIMEOUT="60")
    assert ran.exit_code == 13
    assert ran.outputs["status"] == "not_ready"
    assert ran.outputs["test_run_id"] == "5081"
    (error,) = ran.errors
    assert error.startswith("test run 5081: no container of the FAST node runs with this token")
    assert "; start one: `docker run --env WALLARM_API_TOKEN --env WALLARM_API_HOST " in error
    assert error.endswith("; the test run may be recording, so run the stop step")


def test_a_container_that_does_not_get_ready_is_not_ready_in_time(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.ready_delay = 100
    ran = start("github", START_RECORDING_TIMEOUT="60")
    assert ran.exit_code == 13
    (error,) = ran.errors
    assert error.startswith("test run 5081: the FAST node is not ready to record yet; increase timeout")
    assert error.endswith("; the test run may be recording, so run the stop step")


def test_an_api_that_fails_until_the_deadline_is_unreachable(start: InProcess, silent: Simulator) -> None:
    silent.faults.add(faults.answer(503), "GET", None)
    ran = start("github")
    assert ran.exit_code == 6
    assert ran.outputs["test_run_id"] == "5081"
    (error,) = ran.errors
    assert error.startswith("test run 5081: the API responded with HTTP 503")
    assert error.endswith("; the test run may be recording, so run the stop step")


def test_an_api_that_fails_after_a_good_poll_leaves_what_is_known(
    start: InProcess, silent: Simulator
) -> None:
    silent.faults.add(faults.envelope(200, INACTIVE), "GET")
    silent.faults.add(faults.answer(503), "GET", None)
    ran = start()
    assert ran.exit_code == 13
    assert ran.errors[0].startswith("test run 5081: no container of the FAST node runs with this token")
    assert "; the last poll failed: the API responded with HTTP 503 (tried " in ran.errors[0]


def test_an_api_that_fails_for_a_while_is_polled_until_it_works(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.ready_delay = 3
    sim.faults.add(faults.answer(502), "GET", 10)
    ran = start()
    assert ran.exit_code == 0
    assert ran.errors == []


def test_a_new_run_may_be_unknown_for_a_while(start: InProcess, sim: Simulator) -> None:
    sim.state.rules.ready_delay = 3
    sim.faults.add(faults.answer(404), "GET", 4)
    assert start().exit_code == 0
    assert sum(start.clock.slept) < 32


def test_a_new_run_that_stays_unknown_is_not_found_after_30_seconds(
    start: InProcess, silent: Simulator
) -> None:
    silent.faults.add(faults.answer(404), "GET", None)
    ran = start("github")
    assert ran.exit_code == 4
    assert ran.outputs["status"] == "not_found"
    assert ran.outputs["test_run_id"] == "5081"
    assert 20 < sum(start.clock.slept) < 33
    (error,) = ran.errors
    assert re.fullmatch(
        r"test run 5081: test run not found at \S+ \(HTTP 404\) \(tried \d times\); try again later; "
        "the test run may be recording, so run the stop step",
        error,
    )


@pytest.mark.parametrize(("code", "exit_code"), [(400, 5), (401, 3), (403, 3)])
def test_a_refused_poll_says_that_the_run_may_be_recording(
    code: int, exit_code: int, start: InProcess, silent: Simulator
) -> None:
    silent.faults.add(faults.envelope(code, "no"), "GET")
    ran = start("github")
    assert ran.exit_code == exit_code
    assert ran.outputs["test_run_id"] == "5081"
    assert ran.errors[0].endswith("; the test run may be recording, so run the stop step")


def test_a_response_about_another_run_is_not_used(start: InProcess, silent: Simulator) -> None:
    silent.faults.add(faults.envelope(200, {"id": 5080, **READY}), "GET")
    plan(silent, NOT_READY, READY, run=5081)
    assert start().exit_code == 0
    assert silent.calls == [CREATE, POLL, POLL, POLL]


def test_a_signal_ends_the_wait_and_keeps_the_outputs(start_process: AsProcess, sim: Simulator) -> None:
    sim.state.rules.node_active = False
    ran = start_process("github", [SIGTERM], lambda: POLL in sim.calls)
    assert ran.exit_code == 143
    assert ran.seconds < SOON
    assert ran.outputs["test_run_id"] == "5081"
    assert ran.outputs["status"] == "interrupted"
    (error,) = ran.errors
    assert error == (
        "test run 5081: interrupted by SIGTERM; the test run may be recording, so run the stop step"
    )
