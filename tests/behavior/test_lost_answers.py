"""A stop whose response is lost or a refusal is neither lost nor reported wrongly."""

import pytest

from tests.assertions import assert_stopped
from tests.harness import LOOK, STOP, STOP_BY_RECORD, TIMEOUT, InProcess
from tests.tools.simulator import Simulator, faults
from tests.tools.simulator.faults import Fault
from tests.tools.simulator.state import View

LOST = {
    "reset": faults.reset_after(),
    "cut": faults.cut(),
    "closed": faults.close_without_answer(),
    "502": faults.answer(502, act=True),
    "503, too long to wait": faults.answer(503, headers={"Retry-After": "1000"}, act=True),
    "not JSON": faults.answer(200, "<html>", act=True),
    "another run": faults.envelope(200, {"id": 5081, "recording": False, "test_record_id": 1}, act=True),
    "odd": faults.envelope(200, {"recording": "false", "test_record_id": 1}, act=True),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_stop_whose_response_is_lost_is_found_by_fetching_the_run(
    fault: Fault, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, on="stop", times=None)
    assert_stopped(stop("github"), sim, already=True)
    assert sim.calls == [STOP, LOOK]


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_stop_whose_response_is_lost_within_tls_is_found_by_fetching_the_run(
    fault: Fault, stop: InProcess, tls_sim: Simulator, ca_pem: str
) -> None:
    tls_sim.faults.add(fault, on="stop", times=None)
    ran = stop("github", WALLARM_API_HOST=tls_sim.url, WALLARM_CA_CERT=ca_pem)
    assert_stopped(ran, tls_sim, already=True)
    assert tls_sim.calls == [STOP, LOOK]


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_stop_by_record_whose_response_is_lost_is_found_by_fetching_the_run(
    fault: Fault, stop: InProcess, sim: Simulator
) -> None:
    sim.state.rules.stop_call_unknown = 404
    sim.faults.add(fault, on="stop", run=9058, times=None)
    assert_stopped(stop("github"), sim, already=True)
    assert sim.calls == [STOP, LOOK, STOP_BY_RECORD, LOOK]


def test_a_stop_that_is_lost_before_it_takes_effect_is_requested_again(
    stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.reset_before(), on="stop", times=3)
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK, STOP, LOOK, STOP, LOOK, STOP]


def test_a_stop_by_record_that_is_lost_before_it_takes_effect_is_requested_again(
    stop: InProcess, sim: Simulator
) -> None:
    sim.state.rules.stop_call_unknown = 405
    sim.faults.add(faults.reset_before(), on="stop", run=9058, times=3)
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK, *[STOP_BY_RECORD, LOOK] * 3, STOP_BY_RECORD]


BAD_FETCHES = {
    "reset": faults.reset_before(),
    **{str(code): faults.answer(code) for code in (400, 403, 404, 405, 500)},
    "odd record": faults.envelope(200, {"recording": True, "test_record_id": "../x"}),
    "another run": faults.envelope(200, {"id": 5081, "recording": False, "test_record_id": 1}),
}


@pytest.mark.parametrize("fault", BAD_FETCHES.values(), ids=BAD_FETCHES)
def test_a_fetch_that_fails_is_followed_by_the_stop(fault: Fault, stop: InProcess, sim: Simulator) -> None:
    sim.faults.add(fault, on="GET", times=None)
    sim.faults.add(faults.answer(502), on="stop")
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK, STOP]
    assert len(stop.clock.slept) == 1  # before the fetch


def test_a_fetch_that_is_rejected_for_now_is_followed_by_the_stop_no_sooner_than_it_asks(
    stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(429, headers={"Retry-After": "7"}), on="GET", times=None)
    sim.faults.add(faults.answer(502), on="stop")
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK, STOP]
    assert stop.clock.slept[1:] == [7]


def test_a_fetch_that_is_rejected_until_after_the_deadline_is_followed_by_the_stop(
    stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(503, headers={"Retry-After": "3600"}), on="GET", times=None)
    sim.faults.add(faults.reset_before(), on="stop", times=3)
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK, STOP, LOOK, STOP, LOOK, STOP]


def test_a_run_that_could_not_be_fetched_is_fetched_before_each_attempt(
    stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.reset_after(), on="stop")
    sim.faults.add(faults.answer(500), on="GET", times=2)
    sim.faults.add(faults.answer(429), on="stop", times=None)
    assert_stopped(stop("github"), sim, already=True)
    assert sim.calls == [STOP, *[LOOK, STOP] * 2, LOOK]


@pytest.mark.parametrize("code", [400, 404, 405, 409, 422])
def test_a_refused_stop_is_a_success_once_the_run_is_seen_to_be_off(
    code: int, stop: InProcess, sim: Simulator
) -> None:
    sim.state.stop("5080")
    sim.faults.add(faults.answer(code), on="stop", times=None)
    sim.faults.add(faults.answer(503), on="GET", times=3)
    assert_stopped(stop("github"), sim, already=True)
    assert sim.calls == [STOP, LOOK, LOOK, LOOK, LOOK]


@pytest.mark.parametrize("code", [400, 404, 405, 409, 422])
def test_a_stop_that_is_refused_after_a_lost_response_is_a_success_once_the_run_is_seen_to_be_off(
    code: int, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.reset_after(), on="stop")
    sim.faults.add(faults.answer(code), on="stop", times=None)
    sim.faults.add(faults.answer(503), on="GET", times=3)
    assert_stopped(stop("github"), sim, already=True)
    assert sim.calls == [STOP, LOOK, STOP, LOOK, LOOK, LOOK]


# The response to the stop, that to a fetch, what is then known of `recording`, the exit code and the error.
REFUSED: list[tuple[int, int | View, bool | None, int, str]] = [
    (409, {}, True, 5, "HTTP 409: busy"),
    (409, {"recording": None}, None, 5, "HTTP 409: busy"),
    (409, 400, None, 5, "HTTP 409: busy"),
    (409, 503, None, 5, "HTTP 409: busy"),
    (409, 404, None, 4, "HTTP 404"),
    (404, 400, None, 4, "HTTP 404: busy"),
    (404, 404, None, 4, "HTTP 404"),
    (404, 503, None, 6, "HTTP 503"),
    (405, 503, None, 6, "HTTP 503"),
    (503, {}, True, 6, "HTTP 503: busy; Retry-After: 1000 s exceeds the time left"),
    (405, {"test_record_id": None}, True, 5, "the API has the test run, but not the call that stops it"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_a_stop_that_is_refused_for_good_fails_unless_recording_is_known_to_be_off(
    case: tuple[int, int | View, bool | None, int, str], stop: InProcess, sim: Simulator
) -> None:
    code, fetched, recording, exit_code, error = case
    answer = {"status": code, "body": "busy"}
    sim.faults.add(faults.answer(code, answer, {"Retry-After": "1000"}), on="stop", times=None)
    if isinstance(fetched, int):
        sim.faults.add(faults.answer(fetched), on="GET", times=None)
    else:
        sim.state.find("5080").overrides.update(fetched)
    ran = stop("github", STOP_RECORDING_TIMEOUT=TIMEOUT)
    assert ran.exit_code == exit_code
    assert error in ran.errors[0]
    (result,) = ran.results
    assert result["recording"] is recording
    assert result["already_stopped"] is False
    first, *others = sim.calls
    assert first == STOP
    assert set(others) == {LOOK}


@pytest.mark.parametrize("code", [400, 404, 405])
def test_a_stop_that_is_unknown_both_ways_is_a_refusal(code: int, stop: InProcess, sim: Simulator) -> None:
    sim.state.rules.stop_call_unknown = 404
    sim.faults.add(faults.answer(code), on="stop", run=9058, times=None)
    ran = stop()
    assert ran.exit_code == 5
    assert f"by test record 9058: the API refused the request (HTTP {code})" in ran.log
    assert sim.calls == [STOP, LOOK, STOP_BY_RECORD, LOOK]
