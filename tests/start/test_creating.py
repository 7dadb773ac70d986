"""The test run is created once: another one would abort the first."""

import os
import signal

import pytest

from tests.harness import TOKEN, InProcess
from tests.plans import LOST
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.faults import Fault

CREATE = "POST /v1/test_run"
REFUSED = {
    "400": (faults.answer(400), 5),
    "401": (faults.envelope(401, "User not authenticated", http=401), 3),
    "403": (faults.envelope(403, "User not authenticated", http=403), 3),
    "404": (faults.answer(404), 5),
    "405": (faults.answer(405), 5),
    "409": (faults.envelope(409, "Already exists"), 5),
    "redirect": (faults.answer(302, headers={"Location": "/x"}), 5),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_create_whose_response_is_lost_is_not_sent_again(
    fault: Fault, start: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, "POST")
    ran = start("github")
    assert ran.exit_code == 6
    assert ran.outputs["status"] == "unreachable"
    assert ran.outputs["test_run_id"] == ""
    assert sim.calls == [CREATE]
    (error,) = ran.errors
    assert error.startswith("new test run: ")
    assert error.endswith("; a test run may be recording, look in the portal before you try again")


@pytest.mark.parametrize(("fault", "exit_code"), REFUSED.values(), ids=REFUSED)
def test_a_refused_create_leaves_nothing_that_may_be_recording(
    fault: Fault, exit_code: int, start: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, "POST")
    ran = start("github")
    assert ran.exit_code == exit_code
    assert sim.calls == [CREATE]
    assert ran.outputs["test_run_id"] == ""
    assert start.github_env.read_text() == ""
    assert "may be recording" not in ran.log


def test_a_refusal_shows_what_the_api_says(start: InProcess, sim: Simulator) -> None:
    body = {"error": "node not found", "value": 15049247}
    sim.faults.add(faults.envelope(404, body, http=404), "POST")
    ran = start()
    assert ran.exit_code == 5
    refusal = "the API refused the request (HTTP 404: error: node not found, value: 15049247)"
    assert ran.errors == [f"new test run: {refusal}; check api_host"]


def test_a_refusal_that_echoes_the_token_is_shown_without_it(start: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, f"no {TOKEN}"), "POST")
    assert start().errors == ["new test run: the API refused the request (HTTP 400: no ***)"]


@pytest.mark.parametrize("code", [423, 429])
def test_a_create_that_is_rejected_for_now_is_sent_again(code: int, start: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(code), "POST", 3)
    ran = start("github")
    assert ran.exit_code == 0
    assert sim.calls == [CREATE, CREATE, CREATE, CREATE]
    assert ran.outputs["test_run_id"] == "5081"


def test_a_create_that_is_rejected_until_the_deadline_leaves_nothing(
    start: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(429), "POST", None)
    ran = start("github")
    assert ran.exit_code == 6
    assert list(sim.state.runs) == ["5080"]
    assert "may be recording" not in ran.log


def test_a_create_is_tried_until_a_connection_comes_about(start: InProcess, closed_port: int) -> None:
    ran = start(WALLARM_API_HOST=f"http://127.0.0.1:{closed_port}", START_RECORDING_TIMEOUT="60")
    assert ran.exit_code == 6
    assert len(start.clock.slept) > 5
    assert "may be recording" not in ran.log


def test_a_signal_during_the_create_says_that_a_run_may_be_recording(
    start: InProcess, sim: Simulator
) -> None:
    def interrupt(exchange: Exchange) -> None:
        exchange.act()
        os.kill(os.getpid(), signal.SIGTERM)
        exchange.wait(None)

    sim.faults.add(interrupt, "POST")
    ran = start("github")
    assert ran.exit_code == 143
    assert ran.outputs["status"] == "interrupted"
    (error,) = ran.errors
    assert "interrupted by SIGTERM; a test run may be recording, look in the portal" in error
