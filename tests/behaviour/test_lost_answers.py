"""A stop is never lost and never misreported: lost answers, confirmation, already stopped, by test record."""

from collections.abc import Collection

import pytest

from tests.assertions import assert_stopped
from tests.harness import LOOK, SOON, STOP, STOP_BY_RECORD, TIMEOUT, InProcess, wait_until
from tests.tools.simulator import Exchange, Simulator, faults
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
@pytest.mark.parametrize("way", ["http", "https", "by record"])
def test_a_stop_whose_answer_is_lost_is_found_by_a_look_at_the_run(  # noqa: PLR0913, PLR0917 - fixtures
    way: str, fault: Fault, stop: InProcess, sim: Simulator, tls_sim: Simulator, ca_pem: str
) -> None:
    server = tls_sim if way == "https" else sim
    server.state.rules.stop_call_unknown = 404 if way == "by record" else None
    server.faults.add(fault, on="stop", run=9058 if way == "by record" else 5080, times=None)
    ran = stop("github", WALLARM_API_HOST=server.url, STOP_RECORDING_CA_CERT=ca_pem)
    assert_stopped(ran, server, already=True)
    assert server.calls == ([STOP, LOOK, STOP_BY_RECORD, LOOK] if way == "by record" else [STOP, LOOK])


@pytest.mark.parametrize("by_record", [False, True])
def test_a_stop_that_is_lost_before_it_takes_effect_is_requested_again(
    by_record: bool, stop: InProcess, sim: Simulator
) -> None:
    run, call, before = (9058, STOP_BY_RECORD, [STOP, LOOK]) if by_record else (5080, STOP, [])
    sim.state.rules.stop_call_unknown = 405 if by_record else None
    sim.faults.add(faults.reset_before(), on="stop", run=run, times=3)
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [*before, *[call, LOOK] * 3, call]


BAD_LOOKS = {
    "reset": faults.reset_before(),
    **{str(code): faults.answer(code) for code in (400, 403, 404, 405, 500)},
    "busy": faults.answer(429, headers={"Retry-After": "7"}),
    "odd record": faults.envelope(200, {"recording": True, "test_record_id": "../x"}),
    "another run": faults.envelope(200, {"id": 5081, "recording": False, "test_record_id": 1}),
}


@pytest.mark.parametrize("fault", BAD_LOOKS.values(), ids=BAD_LOOKS)
def test_a_look_that_fails_is_followed_by_the_stop_no_sooner_than_it_asks(
    fault: Fault, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, on="GET", times=None)
    sim.faults.add(faults.answer(502), on="stop")
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK, STOP]
    assert stop.clock.slept[1:] == ([7] if fault is BAD_LOOKS["busy"] else [])


def test_a_run_that_could_not_be_seen_is_looked_at_before_each_attempt(
    stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.reset_after(), on="stop")
    sim.faults.add(faults.answer(500), on="GET", times=2)
    sim.faults.add(faults.answer(429), on="stop", times=None)
    assert_stopped(stop("github"), sim, already=True)
    assert sim.calls == [STOP, *[LOOK, STOP] * 2, LOOK]


@pytest.mark.parametrize("code", [400, 404, 405, 409, 422])
@pytest.mark.parametrize("lost", [False, True])
def test_a_refused_stop_is_a_success_once_the_run_is_seen_to_be_off(
    lost: bool, code: int, stop: InProcess, sim: Simulator
) -> None:
    if lost:
        sim.faults.add(faults.reset_after(), on="stop")
    else:
        sim.state.stop("5080")
    sim.faults.add(faults.answer(code), on="stop", times=None)
    sim.faults.add(faults.answer(503), on="GET", times=3)
    assert_stopped(stop("github"), sim, already=True)
    assert sim.calls == ([STOP, LOOK, STOP, *[LOOK] * 3] if lost else [STOP, *[LOOK] * 4])


REFUSED: list[tuple[int, int | View, int, str]] = [
    (409, {}, 5, "HTTP 409: busy"),
    (409, {"recording": None}, 5, "HTTP 409: busy"),
    (409, 400, 5, "HTTP 409: busy"),
    (409, 503, 5, "HTTP 409: busy"),
    (409, 404, 4, "HTTP 404"),
    (404, 400, 4, "HTTP 404: busy"),
    (404, 404, 4, "HTTP 404"),
    (404, 503, 6, "HTTP 503"),
    (405, 503, 6, "HTTP 503"),
    (503, {}, 6, "HTTP 503: busy and asks to wait 1000 s"),
    (405, {"test_record_id": None}, 5, "the API knows the test run, but not the call that stops it"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_a_stop_that_is_refused_for_good_fails_unless_recording_is_known_to_be_off(
    case: tuple[int, int | View, int, str], stop: InProcess, sim: Simulator
) -> None:
    code, look, exit_code, error = case
    answer = {"status": code, "body": "busy"}
    sim.faults.add(faults.answer(code, answer, {"Retry-After": "1000"}), on="stop", times=None)
    if isinstance(look, int):
        sim.faults.add(faults.answer(look), on="GET", times=None)
    else:
        sim.state.find("5080").overrides.update(look)
    ran = stop("github", STOP_RECORDING_TIMEOUT=TIMEOUT)
    assert ran.exit_code == exit_code
    assert error in ran.errors[0]
    (result,) = ran.results
    seen = None if isinstance(look, int) else look.get("recording", True)
    assert (result["recording"], result["already_stopped"]) == (seen, False)
    assert sim.calls == [STOP, *[LOOK] * (len(sim.calls) - 1)]


@pytest.mark.parametrize("code", [400, 404, 405])
def test_a_stop_that_is_unknown_both_ways_is_a_refusal(code: int, stop: InProcess, sim: Simulator) -> None:
    sim.state.rules.stop_call_unknown = 404
    sim.faults.add(faults.answer(code), on="stop", run=9058, times=None)
    ran = stop()
    assert ran.exit_code == 5
    assert f"by test record 9058: {f'{sim.host} knows no' if code == 404 else 'the API refused'}" in ran.log
    assert sim.calls == [STOP, LOOK, STOP_BY_RECORD, LOOK]


FIELDS: list[Collection[str]] = [(), ("recording",), ("test_record_id",), ("recording", "test_record_id")]


@pytest.mark.parametrize("in_get", FIELDS)
@pytest.mark.parametrize("in_stop", FIELDS)
def test_a_stop_is_confirmed_by_what_both_answers_say(
    in_stop: Collection[str], in_get: Collection[str], stop: InProcess, sim: Simulator
) -> None:
    sim.state.rules.omit_in_stop = {*in_stop, "state", "baseline_count", "id", "name"}
    sim.state.rules.omit_in_get = {*in_get, "state", "baseline_count", "id", "name"}
    ran = stop("github")
    missing = set(in_stop) & set(in_get)
    named, off = "test_record_id" not in missing, None if "recording" in missing else False
    assert ran.exit_code == (0 if named else 7)
    assert ran.outputs["test_record_id"] == ("9058" if named else "")
    assert ran.results[0]["recording"] is off
    assert ("::warning::test run 5080: the API accepted the stop" in ran.log) is (named and off is None)
    assert sim.calls[:2] == [STOP, LOOK][: 2 if in_stop else 1]


@pytest.mark.parametrize("rule", ["stop_delay", "record_id_delay"])
@pytest.mark.parametrize("in_time", [False, True])
def test_a_confirmation_is_polled_for_less_and_less_often_until_the_deadline(
    in_time: bool, rule: str, stop: InProcess, sim: Simulator
) -> None:
    stop.clock.now = 1024.0
    sim.state.clock = stop.clock.monotonic
    setattr(sim.state.rules, rule, 30)
    run = sim.state.create_run("late")
    ran = stop(TEST_RUN_ID=str(run.id), STOP_RECORDING_TIMEOUT="120" if in_time else "32.5")
    assert ran.exit_code == (0 if in_time else 7)
    error = "recording is still on" if rule == "stop_delay" else "the API named no test record"
    assert (f", but {error} (time is up); " in ran.log) is not in_time
    assert stop.clock.slept == [0, 0.5, 1, 2, 4, 5, 5, 5, 5, 5][: 10 if in_time else 9]
    assert sum(call.startswith("GET") for call in sim.calls) == len(stop.clock.slept)


@pytest.mark.parametrize("look", [400, 403, 404, 500])
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "accepted, but the API did not say that recording is off"),
        ({"recording": None, "test_record_id": 9058}, "accepted, but the API did not say that recording"),
        ({"recording": True, "test_record_id": 9058}, "accepted, but recording is still on"),
        ({"recording": False, "test_record_id": ""}, "recording is off, but the API named no test record"),
    ],
)
def test_an_accepted_stop_is_not_confirmed_if_the_run_cannot_be_seen(
    fields: View, error: str, look: int, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.envelope(200, fields, act=True), on="stop")
    sim.faults.add(faults.answer(look), on="GET", times=None)
    ran = stop("github", STOP_RECORDING_TIMEOUT=TIMEOUT)
    assert ran.exit_code == (3 if look == 403 else 7)
    assert ("refused the token" if look == 403 else error) in ran.errors[0]
    assert f"HTTP {look}" in ran.errors[0]
    (result,) = ran.results
    assert (result["recording"], result["already_stopped"]) == (fields.get("recording"), False)
    assert sim.calls.count(STOP) == 1


@pytest.mark.parametrize("way", ["by run", "by record"])
@pytest.mark.parametrize("then", [None, faults.reset_before(), *map(faults.answer, (400, 403, 404, 503))])
def test_an_accepted_stop_without_effect_is_requested_again_after_ten_seconds(
    then: Fault | None, way: str, stop: InProcess, sim: Simulator
) -> None:
    """Whatever comes of that, polling goes on. By record, an answer may name the record or the run."""
    run, call, before = (5080, STOP, []) if way == "by run" else (9058, STOP_BY_RECORD, [STOP, LOOK])
    sim.state.rules.stop_call_unknown = 404 if way == "by record" else None
    sim.faults.add(faults.envelope(200, {"id": run, "recording": True}), on="stop", run=run)
    if then:
        sim.faults.add(then, on="stop", run=run)
    assert_stopped(stop("github"), sim, already=False)
    assert stop.clock.slept == [0, 0.5, 1, 2, 4, 5, *[5] * bool(then)]
    assert sim.calls == [*before, call, *[LOOK] * 6, call, *[LOOK, call] * bool(then)]


@pytest.mark.parametrize(
    ("said", "exit_code", "error"),
    [
        ({}, 7, "the stop was accepted, but the API did not say that recording is off ("),
        ({"recording": False}, 7, "recording is off, but the API named no test record ("),
        ({"recording": False, "test_record_id": 9058}, 8, "did not say how many baselines were recorded"),
    ],
)
def test_a_look_that_hangs_beyond_the_deadline_leaves_what_the_accepted_stop_said(
    said: View, exit_code: int, error: str, stop: InProcess, sim: Simulator
) -> None:
    """The answer about another run uses up the time."""

    def use_up_the_time(exchange: Exchange) -> None:
        wait_until(lambda: LOOK in sim.calls)
        stop.clock.now += 120.4
        exchange.answer(*exchange.act())

    sim.state.create_run("other", "other")
    sim.faults.add(faults.envelope(200, said, act=True), on="stop", run=5080)
    sim.faults.add(faults.silence(), on="GET", run=5080)
    sim.faults.add(use_up_the_time, run="other")
    ran = stop("github", TEST_RUN_ID="5080,other", STOP_RECORDING_MIN_BASELINES="1")
    assert (ran.exit_code, len(ran.errors)) == (exit_code, 1)
    assert error in ran.errors[0]
    assert ran.results[0]["recording"] is said.get("recording")
    assert ran.seconds < SOON
