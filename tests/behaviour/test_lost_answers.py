"""The stop is never lost and never reported wrongly."""

import json
from collections.abc import Collection

import pytest

from tests.conftest import AsProcess, InProcess, Ran
from tests.simulator import Exchange, Simulator, faults
from tests.simulator.faults import Fault
from tests.simulator.state import View

STOP = "POST /v1/test_run/5080/action/stop"
LOOK = "GET /v1/test_run/5080"
STOP_BY_RECORD = "POST /v1/test_record/9058/action/stop"


def saying(**fields: object) -> Fault:
    """Do what is asked, but answer a body of these fields alone."""

    def fault(exchange: Exchange) -> None:
        exchange.act()
        exchange.answer(200, {"status": 200, "body": fields})

    return fault


def result(ran: Ran) -> View:
    (only,) = ran.results
    return only


def assert_stopped(ran: Ran, sim: Simulator, *, already: bool) -> None:
    assert ran.exit_code == 0
    assert ran.errors == []
    only = result(ran)
    assert only["recording"] is False
    assert only["test_record_id"] == "9058"
    assert only["already_stopped"] is already
    assert ran.outputs["status"] == "stopped"
    assert sim.state.get("5080")["recording"] is False


LOST_AFTER = {
    "reset": faults.reset_after(),
    "cut": faults.cut(),
    "closed": faults.close_without_answer(),
    "502": faults.answer(502, act=True),
    "524": faults.answer(524, "<html>", act=True),
    "not JSON": faults.answer(200, "<html>", act=True),
    "too long": faults.answer(200, "x" * (2 << 20), act=True),
    "bomb": faults.gzip_bomb(10),
}
LOST_BEFORE = {
    "reset": faults.reset_before(),
    "closed": faults.close_without_answer(act=False),
    "cut": faults.cut(act=False),
    "502": faults.answer(502),
    "429": faults.answer(429),
    "not JSON": faults.answer(200, "<html>"),
}


@pytest.mark.parametrize("second_stop", ["ok", "refuse"])
@pytest.mark.parametrize("fault", LOST_AFTER.values(), ids=LOST_AFTER)
def test_an_answer_lost_after_the_stop_took_effect_is_success(
    fault: Fault, second_stop: str, step: InProcess, sim: Simulator
) -> None:
    sim.state.rules.second_stop = second_stop  # type: ignore[assignment]
    sim.faults.add(fault, on="stop")
    assert_stopped(step("github"), sim, already=True)
    assert sim.calls == [STOP, LOOK]


@pytest.mark.parametrize(
    ("fault", "timeout"),
    [(faults.silence(headers=False), "2.6"), (faults.drip(), "3.2")],
    ids=["silence", "drip"],
)
def test_an_answer_that_never_ends_after_the_stop_took_effect_is_success(
    fault: Fault, timeout: str, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, on="stop", times=None)
    ran = step("github", STOP_RECORDING_TIMEOUT=timeout, real_time=True)
    assert_stopped(ran, sim, already=True)
    assert ran.seconds < float(timeout)


@pytest.mark.parametrize("fault", LOST_AFTER.values(), ids=LOST_AFTER)
def test_an_answer_lost_inside_tls_is_success(
    fault: Fault, step: InProcess, tls_sim: Simulator, ca_pem: str
) -> None:
    tls_sim.faults.add(fault, on="stop")
    ran = step("github", WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem)
    assert_stopped(ran, tls_sim, already=True)


@pytest.mark.parametrize("fault", LOST_BEFORE.values(), ids=LOST_BEFORE)
def test_a_stop_lost_before_it_took_effect_is_asked_for_again(
    fault: Fault, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, on="stop", times=3)
    assert_stopped(step("github"), sim, already=False)
    assert sim.calls.count(STOP) == 4


@pytest.mark.parametrize("fault", LOST_AFTER.values(), ids=LOST_AFTER)
def test_a_stop_whose_answers_are_lost_for_ever_is_success(
    fault: Fault, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, on="stop", times=None)
    assert_stopped(step("github"), sim, already=True)


def test_a_stop_that_takes_effect_with_the_last_try_is_seen_by_a_last_look(
    step: InProcess, sim: Simulator
) -> None:
    """No time is left for another try, but there is for a look."""
    sim.faults.add(faults.answer(503, headers={"Retry-After": "1000"}, act=True), on="stop")
    assert_stopped(step("github"), sim, already=True)
    assert sim.calls == [STOP, LOOK]
    assert step.clock.slept == []


@pytest.mark.parametrize("fault", [faults.reset_before(), faults.answer(500), faults.answer(200, "no")])
def test_a_look_that_fails_for_ever_does_not_keep_the_stop_from_being_asked_for_again(
    fault: Fault, step: InProcess, sim: Simulator
) -> None:
    """The call that looks is down, the one that stops was down for a moment."""
    sim.faults.add(fault, on="GET", times=None)
    sim.faults.add(faults.answer(502), on="stop")
    ran = step("github")
    assert_stopped(ran, sim, already=False)


@pytest.mark.parametrize("code", [400, 404, 405, 409])
def test_a_look_that_is_refused_does_not_keep_the_stop_from_being_asked_for_again(
    code: int, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(code), on="GET", times=None)
    sim.faults.add(faults.answer(502), on="stop")
    assert_stopped(step("github"), sim, already=False)


def test_a_lost_answer_whose_second_stop_is_refused_is_success(step: InProcess, sim: Simulator) -> None:
    """The look after the lost answer fails for a moment, so the stop is asked for once more or looked for."""
    sim.state.rules.second_stop = "refuse"
    sim.faults.add(faults.reset_after(), on="stop")
    sim.faults.add(faults.answer(502), on="GET")
    assert_stopped(step("github"), sim, already=True)


def test_a_stop_that_was_lost_is_looked_for_however_the_later_tries_are_turned_away(
    step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(502, act=True), on="stop")
    sim.faults.add(faults.answer(429), on="stop", times=None)
    sim.faults.add(faults.answer(502), on="GET")
    assert_stopped(step("github"), sim, already=True)


def test_a_token_refused_after_a_lost_answer_is_told(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.reset_before(), on="stop")
    sim.faults.add(faults.answer(403), on="GET")
    assert step().exit_code == 3


# Stopped already


def test_a_second_stop_that_is_allowed_is_success(step: InProcess, sim: Simulator) -> None:
    sim.state.stop("5080")
    assert_stopped(step("github"), sim, already=False)
    assert sim.calls == [STOP]


@pytest.mark.parametrize("code", [400, 404, 405, 409, 422])
def test_a_second_stop_that_is_refused_is_success_and_says_so(
    code: int, step: InProcess, sim: Simulator
) -> None:
    sim.state.stop("5080")
    sim.faults.add(faults.envelope(code, {"error": "not_recording"}, http=code), on="stop", times=None)
    ran = step("github")
    assert_stopped(ran, sim, already=True)
    assert "stopped already" in ran.stdout
    assert "was stopped already" in ran.summary
    assert sim.calls == [STOP, LOOK]


def test_a_refused_stop_of_a_recording_that_is_on_is_a_refusal(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(409, "busy", http=409), on="stop", times=None)
    ran = step("github")
    assert ran.exit_code == 5
    assert "busy" in ran.errors[0]
    assert result(ran)["recording"] is True
    assert result(ran)["already_stopped"] is False
    assert result(ran)["test_record_id"] == "9058"
    assert sim.calls == [STOP, LOOK]


@pytest.mark.parametrize("code", [400, 404, 405])
def test_a_refused_stop_of_a_recording_that_nobody_can_see_is_a_refusal(
    code: int, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(409), on="stop", times=None)
    sim.faults.add(faults.answer(code), on="GET", times=None)
    assert step().exit_code == (4 if code == 404 else 5)


def test_a_call_that_is_not_known_of_a_run_that_is_not_shown_is_not_found(
    step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(404), on="stop", times=None)
    sim.faults.add(faults.answer(400), on="GET", times=None)
    ran = step()
    assert ran.exit_code == 4
    assert sim.calls == [STOP, LOOK]


def test_a_refused_stop_of_a_run_that_does_not_say_recording_is_a_refusal(
    step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(409), on="stop", times=None)
    sim.state.rules.omit_in_get = {"recording"}
    ran = step("github")
    assert ran.exit_code == 5
    assert result(ran)["recording"] is None


def test_a_refused_stop_is_looked_into_until_the_run_can_be_seen(step: InProcess, sim: Simulator) -> None:
    sim.state.stop("5080")
    sim.faults.add(faults.answer(409), on="stop", times=None)
    sim.faults.add(faults.answer(503), on="GET", times=3)
    assert_stopped(step("github"), sim, already=True)


def test_a_refusal_stands_where_the_run_cannot_be_seen_for_trouble(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(409, "busy", http=409), on="stop", times=None)
    sim.faults.add(faults.answer(503), on="GET", times=None)
    ran = step()
    assert ran.exit_code == 5
    assert "busy" in ran.errors[0]


def test_a_call_that_is_not_known_of_a_run_that_cannot_be_seen_is_unreachable(
    step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(404), on="stop", times=None)
    sim.faults.add(faults.answer(503), on="GET", times=None)
    assert step().exit_code == 6


# Accepted, confirmed or not


@pytest.mark.parametrize("in_get", [(), ("recording",), ("test_record_id",), ("recording", "test_record_id")])
@pytest.mark.parametrize(
    "in_stop", [(), ("recording",), ("test_record_id",), ("recording", "test_record_id")]
)
def test_the_stop_is_confirmed_by_what_both_answers_say(
    in_stop: Collection[str], in_get: Collection[str], step: InProcess, sim: Simulator
) -> None:
    sim.state.rules.omit_in_stop, sim.state.rules.omit_in_get = in_stop, in_get
    ran = step("github")
    said = {"recording", "test_record_id"} - (set(in_stop) & set(in_get))
    if "test_record_id" not in said:
        assert ran.exit_code == 7
        assert result(ran)["test_record_id"] is None
    else:
        assert ran.exit_code == 0
        assert result(ran)["test_record_id"] == "9058"
        assert result(ran)["recording"] is (False if "recording" in said else None)
        assert ("does not say whether" in ran.log) is ("recording" not in said)
    if not in_stop:
        assert sim.calls == [STOP]


@pytest.mark.parametrize("field", ["state", "baseline_count", "id", "name"])
def test_any_other_field_may_be_missing(field: str, step: InProcess, sim: Simulator) -> None:
    sim.state.rules.omit_in_stop = sim.state.rules.omit_in_get = {field}
    assert_stopped(step("github"), sim, already=False)
    assert sim.calls == [STOP]


def test_the_documented_sample_answer_is_completed_by_a_look(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(saying(id="5080", recording=False), on="stop")
    assert_stopped(step("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK]


def test_a_stop_that_takes_a_while_is_waited_for(step: InProcess, sim: Simulator) -> None:
    sim.state.clock = step.clock.monotonic
    sim.state.rules.stop_delay = 30
    assert_stopped(step("github"), sim, already=False)
    assert sim.calls.count(STOP) == 1


def test_a_record_that_is_named_late_is_waited_for(step: InProcess, sim: Simulator) -> None:
    sim.state.clock = step.clock.monotonic
    sim.state.rules.record_id_delay = 30
    run = sim.state.create_run("late")
    ran = step(TEST_RUN_ID=str(run.id))
    assert ran.exit_code == 0
    assert ran.variables["TEST_RECORD_ID"] == str(run.test_record_id)


def test_polling_grows_slower_up_to_five_seconds(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.stop_delay = 1000
    assert step(STOP_RECORDING_TIMEOUT="30").exit_code == 7
    assert step.clock.slept[:7] == [0, 0.5, 1, 2, 4, 5, 5]
    assert max(step.clock.slept) == 5
    assert 30 - 5 <= sum(step.clock.slept) < 30


@pytest.mark.parametrize("stop_answer", ["recording on", "nothing"])
def test_a_recording_that_stays_on_is_never_success(
    stop_answer: str, step: InProcess, sim: Simulator
) -> None:
    sim.state.rules.stop_delay = 1000
    if stop_answer == "nothing":
        sim.faults.add(faults.answer(204, act=True), on="stop", times=None)
    ran = step("github")
    assert ran.exit_code == 7
    assert ran.outputs["status"] == "not_confirmed"
    assert "still on" in ran.errors[0]
    assert result(ran)["recording"] is True
    assert result(ran)["test_record_id"] == "9058"


@pytest.mark.parametrize("value", [None, ""])
def test_a_record_that_is_never_named_is_never_success(
    value: object, step: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["test_record_id"] = value
    ran = step("github")
    assert ran.exit_code == 7
    assert "no test record" in ran.errors[0]
    assert result(ran)["recording"] is False
    assert ran.outputs["test_record_id"] == ""
    assert ran.outputs["test_record_ids"] == "[]"


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset_before(),
        faults.answer(500),
        faults.answer(200, "no"),
        faults.answer(400),
        faults.answer(404),
    ],
    ids=["reset", "500", "unreadable", "400", "404"],
)
@pytest.mark.parametrize("said", [{}, {"recording": False}, {"recording": True, "test_record_id": 9058}])
def test_an_accepted_stop_is_not_confirmed_by_a_look_that_fails(
    said: View, fault: Fault, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(saying(**said), on="stop", times=None)
    sim.faults.add(fault, on="GET", times=None)
    ran = step("github")
    assert ran.exit_code == 7
    assert result(ran)["already_stopped"] is False
    assert len(ran.errors) == 1


@pytest.mark.parametrize(
    "fault", [faults.reset_before(), faults.answer(500), faults.answer(200, "no")], ids=["reset", "500", "-"]
)
def test_a_record_without_recording_is_not_enough_while_the_run_cannot_be_seen(
    fault: Fault, step: InProcess, sim: Simulator
) -> None:
    """There is only one answer, so it cannot be said that neither names `recording`."""
    sim.faults.add(saying(test_record_id=9058), on="stop", times=None)
    sim.faults.add(fault, on="GET", times=None)
    ran = step("github")
    assert ran.exit_code == 7
    assert result(ran)["test_record_id"] == "9058"


@pytest.mark.parametrize(("code", "exit_code"), [(401, 3), (403, 3)])
def test_a_token_that_may_stop_but_not_look_is_told(
    code: int, exit_code: int, step: InProcess, sim: Simulator
) -> None:
    sim.state.rules.omit_in_stop = {"test_record_id"}
    sim.faults.add(faults.answer(code), on="GET", times=None)
    ran = step("github")
    assert ran.exit_code == exit_code
    assert result(ran)["recording"] is False


def test_a_look_that_is_not_needed_is_not_made(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(403), on="GET", times=None)
    assert_stopped(step("github"), sim, already=False)


def test_a_request_that_hangs_after_the_stop_was_accepted_is_not_confirmed(
    step: InProcess, sim: Simulator
) -> None:
    sim.state.rules.omit_in_stop = {"test_record_id"}
    sim.faults.add(faults.drip(part="all"), on="GET", times=None)
    ran = step("github", STOP_RECORDING_TIMEOUT="1", real_time=True)
    assert ran.exit_code == 7
    assert result(ran)["recording"] is False
    assert ran.seconds < 3


# By record


@pytest.mark.parametrize("code", [404, 405])
def test_a_stop_call_that_is_not_known_is_replaced_by_the_one_by_record(
    code: int, step: InProcess, sim: Simulator
) -> None:
    sim.state.rules.stop_call_unknown = code  # type: ignore[assignment]
    assert_stopped(step("github"), sim, already=False)
    assert sim.calls == [STOP, LOOK, STOP_BY_RECORD]


@pytest.mark.parametrize("fault", LOST_AFTER.values(), ids=LOST_AFTER)
def test_a_lost_answer_to_the_stop_by_record_is_success(
    fault: Fault, step: InProcess, sim: Simulator
) -> None:
    sim.state.rules.stop_call_unknown = 404
    sim.faults.add(fault, on="stop", run=9058)
    assert_stopped(step("github"), sim, already=True)
    assert sim.calls == [STOP, LOOK, STOP_BY_RECORD, LOOK]


def test_a_stop_by_record_that_is_lost_is_asked_for_again(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.stop_call_unknown = 405
    sim.faults.add(faults.answer(503), on="stop", run=9058, times=2)
    assert_stopped(step("github"), sim, already=False)
    assert sim.calls.count(STOP_BY_RECORD) == 3


@pytest.mark.parametrize("code", [400, 404, 405])
def test_neither_call_known_is_a_refusal(code: int, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(404), on="stop", run=5080, times=None)
    sim.faults.add(faults.answer(code), on="stop", run=9058, times=None)
    ran = step("github")
    assert ran.exit_code == 5
    assert "9058" in ran.errors[0]
    assert result(ran)["recording"] is True


def test_no_record_to_stop_by_is_a_refusal(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.stop_call_unknown = 404
    sim.state.rules.omit_in_get = {"test_record_id"}
    ran = step()
    assert ran.exit_code == 5
    assert sim.calls == [STOP, LOOK]


@pytest.mark.parametrize("code", [404, 405])
def test_a_run_that_neither_call_knows_is_not_found(code: int, step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(code), on="stop", times=None)
    sim.faults.add(faults.answer(404), on="GET", times=None)
    ran = step()
    assert ran.exit_code == 4
    assert sim.calls == [STOP, LOOK]


# What is handed on


def test_the_result_is_the_same_as_a_process(process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.reset_after(), on="stop")
    ran = process("github")
    assert_stopped(ran, sim, already=True)
    assert json.loads(ran.outputs["test_record_ids"]) == ["9058"]
