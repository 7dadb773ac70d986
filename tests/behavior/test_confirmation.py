"""A stop is confirmed by what the API says of the run afterwards, or reported as not confirmed."""

import pytest

from tests.assertions import assert_failed, assert_stopped
from tests.harness import LOOK, SOON, STOP, STOP_BY_RECORD, TIMEOUT, InProcess, Ran, wait_until
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.faults import Fault
from tests.tools.simulator.state import View

# Fields that the responses to a stop and to a fetch leave out.
RECORDING, RECORD, BOTH = {"recording"}, {"test_record_id"}, {"recording", "test_record_id"}
NONE = set[str]()
ACCEPTED = "::warning::test run 5080: the API accepted the stop"


def stop_without_fields(stop: InProcess, sim: Simulator, in_stop: set[str], in_get: set[str]) -> Ran:
    sim.state.rules.omit_in_stop = in_stop | {"state", "baseline_count", "id", "name"}
    sim.state.rules.omit_in_get = in_get | {"state", "baseline_count", "id", "name"}
    ran = stop("github")
    sim.state.rules.omit_in_get = ()  # for whoever fetches it later
    return ran


@pytest.mark.parametrize("in_get", [NONE, RECORDING, RECORD, BOTH])
def test_a_stop_is_confirmed_by_its_response_alone(in_get: set[str], stop: InProcess, sim: Simulator) -> None:
    ran = stop_without_fields(stop, sim, NONE, in_get)
    assert_stopped(ran, sim, already=False)
    assert ACCEPTED not in ran.log
    assert sim.calls == [STOP]


@pytest.mark.parametrize(
    ("in_stop", "in_get"),
    [(RECORDING, NONE), (RECORDING, RECORD), (RECORD, NONE), (RECORD, RECORDING), (BOTH, NONE)],
)
def test_a_stop_is_confirmed_by_what_both_responses_say(
    in_stop: set[str], in_get: set[str], stop: InProcess, sim: Simulator
) -> None:
    ran = stop_without_fields(stop, sim, in_stop, in_get)
    assert_stopped(ran, sim, already=False)
    assert ACCEPTED not in ran.log
    assert sim.calls[:2] == [STOP, LOOK]


@pytest.mark.parametrize(
    ("in_stop", "in_get"), [(RECORDING, RECORDING), (RECORDING, BOTH), (BOTH, RECORDING)]
)
def test_an_accepted_stop_is_trusted_with_a_warning_if_no_response_says_that_recording_is_off(
    in_stop: set[str], in_get: set[str], stop: InProcess, sim: Simulator
) -> None:
    ran = stop_without_fields(stop, sim, in_stop, in_get)
    assert ran.exit_code == 0
    assert ran.outputs["test_record_id"] == "9058"
    assert ran.results[0]["recording"] is None
    assert ACCEPTED in ran.log
    assert sim.calls[:2] == [STOP, LOOK]


@pytest.mark.parametrize(
    ("in_stop", "in_get", "recording"),
    [(RECORD, RECORD, False), (RECORD, BOTH, False), (BOTH, RECORD, False), (BOTH, BOTH, None)],
)
def test_a_stop_whose_record_no_response_names_fails(
    in_stop: set[str], in_get: set[str], recording: bool | None, stop: InProcess, sim: Simulator
) -> None:
    ran = stop_without_fields(stop, sim, in_stop, in_get)
    assert ran.exit_code == 7
    assert ran.outputs["test_record_id"] == ""
    assert ran.results[0]["recording"] is recording
    assert ACCEPTED not in ran.log
    assert sim.calls[:2] == [STOP, LOOK]


def delay(stop: InProcess, sim: Simulator, rule: str) -> str:
    """Let the stop take effect, or the record be named, after 30 s of the step; return the id of the run."""
    stop.clock.now = 1024.0
    sim.state.clock = stop.clock.monotonic
    setattr(sim.state.rules, rule, 30)
    return str(sim.state.create_run("late").id)


@pytest.mark.parametrize("rule", ["stop_delay", "record_id_delay"])
def test_a_confirmation_is_polled_for_less_and_less_often(rule: str, stop: InProcess, sim: Simulator) -> None:
    ran = stop(TEST_RUN_ID=delay(stop, sim, rule), STOP_RECORDING_TIMEOUT="120")
    assert ran.exit_code == 0
    assert stop.clock.slept == [0.5, 1, 2, 4, 5, 5, 5, 5, 5]
    assert sum(call.startswith("GET") for call in sim.calls) == 10


@pytest.mark.parametrize(
    ("rule", "error"),
    [("stop_delay", "recording is still on"), ("record_id_delay", "the API returned no test_record_id")],
)
def test_a_confirmation_that_does_not_come_by_the_deadline_fails(
    rule: str, error: str, stop: InProcess, sim: Simulator
) -> None:
    ran = stop(TEST_RUN_ID=delay(stop, sim, rule), STOP_RECORDING_TIMEOUT="32.5")
    assert ran.exit_code == 7
    assert f", but {error} at the deadline; increase timeout" in ran.log
    assert stop.clock.slept == [0.5, 1, 2, 4, 5, 5, 5, 5]
    assert sum(call.startswith("GET") for call in sim.calls) == 9


# What an accepted stop may say, what is then known of `recording`, and the error if no fetch says more.
SAID: list[tuple[View, bool | None, str]] = [
    ({}, None, "accepted, but the API returned no recording field"),
    ({"recording": None, "test_record_id": 9058}, None, "accepted, but the API returned no recording field"),
    ({"recording": True, "test_record_id": 9058}, True, "accepted, but recording is still on"),
    (
        {"recording": False, "test_record_id": ""},
        False,
        "recording is off, but the API returned no test_record_id",
    ),
]


@pytest.mark.parametrize("fetched", [302, 400, 404, 500])
@pytest.mark.parametrize(("fields", "recording", "error"), SAID)
def test_an_accepted_stop_is_not_confirmed_if_the_run_cannot_be_seen(  # noqa: PLR0913, PLR0917 - columns
    fields: View, recording: bool | None, error: str, fetched: int, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.envelope(200, fields, act=True), on="stop")
    sim.faults.add(faults.answer(fetched), on="GET", times=None)
    ran = stop("github", STOP_RECORDING_TIMEOUT=TIMEOUT)
    assert ran.exit_code == 7
    assert error in ran.errors[0]
    assert f"HTTP {fetched}" in ran.errors[0]
    (result,) = ran.results
    assert result["recording"] is recording
    assert result["already_stopped"] is False
    assert sim.calls.count(STOP) == 1


@pytest.mark.parametrize("code", [302, 400, 404, 405, 503])
def test_polling_goes_on_after_a_fetch_that_fails(code: int, stop: InProcess, sim: Simulator) -> None:
    sim.state.rules.omit_in_stop = RECORD
    sim.faults.add(faults.answer(code), on="GET", times=3)
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK, LOOK, LOOK, LOOK]


@pytest.mark.parametrize(("fields", "recording"), [(fields, recording) for fields, recording, _ in SAID])
def test_a_token_that_is_refused_during_the_confirmation_is_named(
    fields: View, recording: bool | None, stop: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.envelope(200, fields, act=True), on="stop")
    sim.faults.add(faults.answer(403), on="GET", times=None)
    ran = stop("github", STOP_RECORDING_TIMEOUT=TIMEOUT)
    assert ran.exit_code == 3
    assert "refused the token" in ran.errors[0]
    assert "HTTP 403" in ran.errors[0]
    (result,) = ran.results
    assert result["recording"] is recording
    assert result["already_stopped"] is False
    assert sim.calls.count(STOP) == 1


# The id in the responses, the call that is repeated, and the calls before it.
WAYS: dict[str, tuple[int, str, list[str]]] = {
    "by run": (5080, STOP, []),
    "by record": (9058, STOP_BY_RECORD, [STOP, LOOK]),
}


def accept_without_effect(sim: Simulator, way: str) -> None:
    """Accept the first stop, which has no effect; a response by record may name the record or the run."""
    run, _, _ = WAYS[way]
    if way == "by record":
        sim.state.rules.stop_call_unknown = 404
    sim.faults.add(faults.envelope(200, {"id": run, "recording": True}), on="stop", run=run)


@pytest.mark.parametrize("way", WAYS)
def test_an_accepted_stop_without_effect_is_requested_again_after_ten_seconds(
    way: str, stop: InProcess, sim: Simulator
) -> None:
    accept_without_effect(sim, way)
    assert_stopped(stop("github"), sim, already=False)
    _, call, before = WAYS[way]
    assert stop.clock.slept == [0.5, 1, 2, 4, 5]
    assert sim.calls == [*before, call, *[LOOK] * 6, call]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("then", [faults.reset_before(), *map(faults.answer, (400, 403, 404, 503))])
def test_polling_goes_on_whatever_comes_of_the_second_stop(
    then: Fault, way: str, stop: InProcess, sim: Simulator
) -> None:
    accept_without_effect(sim, way)
    run, call, before = WAYS[way]
    sim.faults.add(then, on="stop", run=run)
    assert_stopped(stop("github"), sim, already=False)
    assert stop.clock.slept == [0.5, 1, 2, 4, 5, 5]
    assert sim.calls == [*before, call, *[LOOK] * 6, call, LOOK, call]


@pytest.mark.parametrize(
    ("said", "recording", "exit_code", "error"),
    [
        ({}, None, 7, "the stop was accepted, but the API returned no recording field at"),
        ({"recording": False}, False, 7, "recording is off, but the API returned no test_record_id at"),
        ({"recording": False, "test_record_id": 9058}, False, 8, "returned no baseline_count"),
    ],
)
def test_a_fetch_that_hangs_beyond_the_deadline_leaves_what_the_accepted_stop_said(  # noqa: PLR0913, PLR0917 - columns
    said: View, recording: bool | None, exit_code: int, error: str, stop: InProcess, sim: Simulator
) -> None:
    """The response about another run uses up the time."""

    def use_up_the_time(exchange: Exchange) -> None:
        wait_until(lambda: LOOK in sim.calls)
        stop.clock.now += 120.4
        exchange.answer(*exchange.act())

    sim.state.create_run("other", "other")
    sim.faults.add(faults.envelope(200, said, act=True), on="stop", run=5080)
    sim.faults.add(faults.silence(), on="GET", run=5080)
    sim.faults.add(use_up_the_time, run="other")
    ran = stop("github", TEST_RUN_ID="5080,other", STOP_RECORDING_MIN_BASELINES="1")
    assert ran.exit_code == exit_code
    (shown,) = ran.errors
    assert error in shown
    assert ran.results[0]["recording"] is recording
    assert ran.seconds < SOON


# What says that recording is off although it is on, and the calls before that is seen.
OFF = faults.envelope(200, {"id": 5080, "recording": False})
WRONGLY_OFF = {"quiet": [LOOK, LOOK], "lost": [STOP, LOOK, LOOK], "refused": [STOP, LOOK, LOOK]}


def say_off_wrongly(stop: InProcess, sim: Simulator, way: str) -> None:
    """Say so in the first response to a fetch: in the quiet wait, or after a stop that was not accepted."""
    if way == "quiet":
        stop.base["STOP_RECORDING_QUIET_PERIOD"] = "1"
    else:
        sim.faults.add({"lost": faults.reset_before(), "refused": faults.answer(409)}[way], on="stop")
    sim.faults.add(OFF, on="GET")


@pytest.mark.parametrize("way", WRONGLY_OFF)
def test_recording_that_turns_out_to_be_on_is_stopped_at_once(
    way: str, stop: InProcess, sim: Simulator
) -> None:
    say_off_wrongly(stop, sim, way)
    assert_stopped(stop("github"), sim, already=False)
    assert sim.calls == [*WRONGLY_OFF[way], STOP]


@pytest.mark.parametrize("way", WRONGLY_OFF)
def test_a_stop_that_is_refused_when_recording_turns_out_to_be_on_is_not_called_accepted(
    way: str, stop: InProcess, sim: Simulator
) -> None:
    say_off_wrongly(stop, sim, way)
    sim.faults.add(faults.answer(409), on="stop", times=None)
    ran = stop("github")
    assert_failed(ran, 5, "the API refused the request (HTTP 409")
    assert ran.results[0]["recording"] is True
    assert sim.calls == [*WRONGLY_OFF[way], STOP, LOOK]


def test_responses_that_contradict_each_other_are_polled_for_less_and_less_often(
    stop: InProcess, sim: Simulator
) -> None:
    for _ in range(100):
        sim.faults.add(OFF, on="GET")
        sim.faults.add(faults.envelope(200, {"id": 5080, "recording": True}), on="GET")
    sim.faults.add(faults.answer(409), on="stop", times=None)
    ran = stop("github", STOP_RECORDING_TIMEOUT="32.5")
    assert_failed(ran, 7, "recording is off, but the API returned no test_record_id at the deadline")
    assert sum(call.startswith("POST") for call in sim.calls) <= 10
