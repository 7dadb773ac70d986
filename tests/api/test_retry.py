"""When the next try comes: the backoff, its jitter, Retry-After, and the deadline."""

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stop_recording.clock import Deadline
from stop_recording.errors import Unreachable
from stop_recording.retry import Transient, parse_retry_after, retry
from tests.conftest import FakeClock, InProcess
from tests.simulator import Exchange, Simulator, faults

# wait_exponential_jitter: 0.5 s doubled with each try, at most 10 s, with up to 0.5 s of chance in it.
BOUNDS = [(0.5, 1.0), (1.0, 1.5), (2.0, 2.5), (4.0, 4.5), (8.0, 8.5), (10.0, 10.0), (10.0, 10.0)]


def waits(timeout: float, retry_after: float | None = None) -> list[float]:
    """Return the waits of a call that fails for ever."""
    clock = FakeClock()

    def fail() -> None:
        raise Transient(Unreachable, "down", retry_after=retry_after)

    with pytest.raises(Unreachable):
        retry(fail, Deadline.after(timeout, clock.clock), "test run 1")
    return clock.slept


def test_the_waits_double_up_to_ten_seconds() -> None:
    slept = waits(300)
    for wait, (least, most) in zip(slept, BOUNDS, strict=False):
        assert least <= wait <= most
    assert max(slept) <= 10
    assert len(slept) > 25


def test_no_two_clients_wait_alike() -> None:
    assert len({waits(10)[0] for _ in range(20)}) == 20


def test_the_first_wait_is_spread_over_half_a_second() -> None:
    first = [waits(2)[0] for _ in range(300)]
    assert min(first) < 0.6
    assert max(first) > 0.9
    assert all(0.5 <= wait <= 1 for wait in first)


def test_the_waits_begin_anew_with_each_call(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(429), on="stop", times=4)
    sim.faults.add(faults.answer(503), on="GET", times=1)
    sim.state.rules.omit_in_stop = {"recording"}
    assert step().exit_code == 0
    assert len(step.clock.slept) == 6
    assert 4 <= step.clock.slept[3] <= 4.5
    assert step.clock.slept[4] == 0
    assert 0.5 <= step.clock.slept[5] <= 1


@pytest.mark.parametrize("timeout", [0.2, 1, 5, 17, 120])
def test_no_try_comes_after_the_deadline(timeout: float) -> None:
    assert sum(waits(timeout)) < timeout


@pytest.mark.parametrize("timeout", ["1", "7", "40"])
def test_no_request_is_made_after_the_deadline(timeout: str, step: InProcess, sim: Simulator) -> None:
    started = step.clock.now
    at: list[float] = []

    def fault(exchange: Exchange) -> None:
        at.append(step.clock.now)
        exchange.reset()

    sim.faults.add(fault, times=None)
    assert step(STOP_RECORDING_TIMEOUT=timeout).exit_code == 6
    assert max(at) - started < float(timeout)
    assert step.clock.now - started < float(timeout)


def test_the_time_up_to_the_deadline_is_used(step: InProcess, sim: Simulator) -> None:
    """The next try would have come after the deadline, and no wait is longer than ten seconds."""
    started = step.clock.now
    sim.faults.add(faults.answer(503), times=None)
    step()
    assert step.clock.now - started > 120 - 10


@pytest.mark.parametrize("asked", [1, 3, 30, 59.5])
def test_retry_after_is_honoured_exactly(asked: float) -> None:
    slept = waits(60, asked)
    assert slept == [asked] * len(slept)
    assert len(slept) == -(-60 // asked) - 1


def test_retry_after_of_each_answer_is_honoured(step: InProcess, sim: Simulator) -> None:
    for seconds in ("3", "1", "20"):
        sim.faults.add(faults.answer(429, headers={"Retry-After": seconds}), on="stop")
    sim.faults.add(faults.answer(503, headers={"Retry-After": "5"}), on="stop")
    assert step().exit_code == 0
    assert step.clock.slept == [3, 1, 20, 5]


@pytest.mark.parametrize("code", [408, 423, 425, 429, 500, 502, 503, 520])
def test_retry_after_is_honoured_with_every_code_that_is_retried(
    code: int, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(code, headers={"Retry-After": "11"}), on="stop")
    assert step().exit_code == 0
    assert step.clock.slept == [11]


def test_retry_after_exactly_at_the_deadline_is_too_late(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(429, headers={"Retry-After": "120"}), on="stop")
    ran = step()
    assert ran.exit_code == 6
    assert "120 s (Retry-After)" in ran.errors[0]
    assert "raise timeout" in ran.errors[0]
    assert step.clock.slept == []


def test_retry_after_just_before_the_deadline_is_waited_for(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(429, headers={"Retry-After": "119"}), on="stop")
    assert step().exit_code == 0
    assert step.clock.slept == [119]


def test_the_log_says_that_and_when_it_tries_again(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(429, "slow down", http=429), on="stop")
    ran = step()
    said = r"^test run 5080: the API answered HTTP 429: slow down; trying again in [01]\.\d s$"
    assert re.search(said, ran.stderr, re.MULTILINE)
    assert ran.errors == []


def test_the_error_says_how_often_it_was_tried(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(429), times=None)
    ran = step(STOP_RECORDING_TIMEOUT="10")
    assert f"(tried {len(sim.calls)} times); raise timeout" in ran.errors[0]


def test_a_single_try_is_told_as_one(step: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(429), times=None)
    assert "(tried once)" in step(STOP_RECORDING_TIMEOUT="0.4").errors[0]


@pytest.mark.parametrize("acted", [False, True])
def test_a_wait_that_takes_a_little_longer_hides_neither_the_cause_nor_the_stop(
    acted: bool, step: InProcess, sim: Simulator
) -> None:
    """No machine sleeps exactly as long as it was asked to; the deadline may be past when it wakes."""

    def oversleep(seconds: float) -> None:
        step.clock.now += seconds + 0.1

    step.clock.sleep = oversleep  # type: ignore[method-assign]
    sim.faults.add(faults.answer(503, headers={"Retry-After": "10"}, act=acted), on="stop", times=None)
    ran = step(STOP_RECORDING_TIMEOUT="10.05")
    assert ran.exit_code == (0 if acted else 6)
    if not acted:
        assert "HTTP 503" in ran.errors[0]


# The header

MOMENT = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("007", 7),
        ("9" * 20, 1e20),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30),
        ("Wed Oct 21 07:28:30 2015", 30),
        ("Wed, 21 Oct 2015 09:28:30 +0200", 30),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1 2", None),
        ("٣", None),
        ("²", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("Wed, 32 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 25:28:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, MOMENT) == seconds


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_date_without_a_zone_is_gmt_wherever_the_job_runs(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9110, 5.6.7: the asctime form names no zone and is GMT."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_retry_after("Wed Oct 21 07:28:30 2015", MOMENT) == 30
    finally:
        monkeypatch.undo()
        time.tzset()


DATES = st.from_regex(
    r"\A[A-Za-z]{0,4},? ?-?[0-9]{0,6} ?[A-Za-z]{0,4} ?-?[0-9]{0,7} [0-9]{0,3}:[0-9]{0,3}:?[0-9]{0,12} ?"
    r"([+-][0-9]{0,12}|GMT|UT|[A-Z]{0,4})\Z"
)


@settings(database=None)
@example("Wed, 01 Jan 0001 00:00:00 -0000")
@example("Fri, 31 Dec 9999 23:59:59 -0000")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("1 Jan 1 0:0:0 +99999999999")
@example("1 Jan 2015 0:0:0 +" + "9" * 30)
@given(st.one_of(st.text(), DATES))
def test_any_header_gives_a_number_of_seconds_or_none(value: str) -> None:
    seconds = parse_retry_after(value, MOMENT)
    assert seconds is None or 0 <= seconds < 1e21


@settings(deadline=None, database=None, max_examples=50)
@given(st.floats(min_value=0.01, max_value=300), st.one_of(st.none(), st.floats(0.5, 2000)))
def test_the_waits_of_any_call_fit_before_its_deadline(timeout: float, retry_after: float | None) -> None:
    slept = waits(timeout, retry_after)
    assert sum(slept) < timeout + 1e-9
    assert all(wait > 0 for wait in slept)
