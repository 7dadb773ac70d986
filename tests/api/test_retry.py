"""When the next attempt comes: backoff, jitter, Retry-After, and the deadline."""

import collections
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from tests.assertions import assert_stopped
from tests.harness import STOP, FakeClock, InProcess
from tests.tools.simulator import Simulator, faults
from wallarm_fast.api.retry import TransientError, parse_retry_after, retry
from wallarm_fast.clock import Deadline
from wallarm_fast.errors import UnreachableError
from wallarm_fast.log import RunLogger

MOMENT = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
ADVICE = "; check api_host and proxy, increase timeout, or try again later"


def keep_failing(timeout: float, retry_after: float | None = None) -> tuple[list[float], str]:
    """Return the pauses of a call that fails until the deadline, and its error."""
    clock = FakeClock(now=0)

    def fail() -> None:
        raise TransientError(UnreachableError, "down", retry_after=retry_after)

    log = RunLogger("wallarm_fast", "test run 5080", clock.clock)
    with pytest.raises(UnreachableError) as failed:
        collections.deque(map(clock.clock.sleep, retry(fail, Deadline.after(timeout, clock.clock), log)))
    return clock.slept, str(failed.value)


def test_pauses_double_up_to_ten_seconds_with_half_a_second_of_jitter() -> None:
    calls = [keep_failing(60)[0] for _ in range(300)]
    for least, nth in zip([0.5, 1, 2, 4, 8], zip(*calls, strict=False), strict=False):
        assert least <= min(nth) < least + 0.1
        assert least + 0.4 < max(nth) <= least + 0.5
    assert {pause for pauses in calls for pause in pauses[5:]} == {10}


@pytest.mark.parametrize("timeout", [1.5, 5, 17, 300, 86_400])
@pytest.mark.parametrize("retry_after", [None, 0])
def test_attempts_follow_until_the_next_would_come_too_late(retry_after: float, timeout: float) -> None:
    pauses, error = keep_failing(timeout, retry_after)
    assert timeout - 10.25 <= sum(pauses) < timeout - 0.25
    assert error == f"down (tried {len(pauses) + 1} times){ADVICE}"


@pytest.mark.parametrize(
    ("timeout", "retry_after", "pauses", "error"),
    [
        (0.7, None, [], " (tried once)"),
        (10, 9.74, [9.74], "; Retry-After: 10 s exceeds the time left (0 s)"),
        (10, 9.75, [], "; Retry-After: 10 s exceeds the time left (10 s)"),
        (60, 1e20, [], "; Retry-After: 100000000000000000000 s exceeds the time left (60 s)"),
        (60, 14.6, [14.6] * 4, "; Retry-After: 15 s exceeds the time left (2 s)"),
    ],
)
def test_retry_after_replaces_the_backoff_and_leaves_time_for_an_attempt(
    timeout: float, retry_after: float | None, pauses: list[float], error: str
) -> None:
    assert keep_failing(timeout, retry_after) == (pauses, f"down{error}{ADVICE}")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("0", 0), ("120", 120), ("007", 7), ("9" * 20, 1e20), ("9" * 400, 1e20)),
        *((value, None) for value in ("", "soon", "-1", "+1", "1.5", "1 2", "1e9", "٣", "²")),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2015 09:28:30 +0200", 30),
        ("Wed, 21 Oct 2015 07:27:59 GMT", 0),
        ("Wed, 32 Oct 2015 07:28:00 GMT", None),
        ("1 Jan 2015 0:0:0 +" + "9" * 30, None),
        ("Wed, 01 Jan 0001 00:00:00 -0000", 0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 251_956_974_659),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, MOMENT) == seconds


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_date_without_a_zone_is_gmt(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_retry_after("Wed Oct 21 07:28:30 2015", MOMENT) == 30
    finally:
        monkeypatch.undo()
        time.tzset()


def test_retry_after_of_each_answer_is_honored_and_logged(stop: InProcess, sim: Simulator) -> None:
    date = format_datetime(datetime.fromtimestamp(stop.clock.wall() + 40, UTC), usegmt=True)
    for value in ("17", date, "2"):
        sim.faults.add(faults.answer(429, headers={"Retry-After": value}), on="stop")
    ran = stop(CI_DEBUG_TRACE="true")
    assert_stopped(ran, sim)
    assert stop.clock.slept == [17, pytest.approx(23, abs=1), 2]
    trace = f"{STOP} -> 429 in 0.000 s\ntest run 5080: the API responded with HTTP 429; retrying in 17.0 s\n"
    assert f"\ndebug: {trace}" in ran.stderr


def test_a_date_in_retry_after_counts_from_the_date_of_the_response(stop: InProcess, sim: Simulator) -> None:
    """The clocks of the two machines may differ by years."""
    headers = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}
    sim.faults.add(faults.answer(503, headers=headers), on="stop")
    assert_stopped(stop(), sim)
    assert stop.clock.slept == [30]


def test_of_many_retries_a_line_in_30_seconds_is_logged(stop: InProcess, sim: Simulator) -> None:
    sim.faults.add(faults.answer(503, headers={"Retry-After": "7"}), on="stop", times=9)
    ran = stop()
    assert_stopped(ran, sim)
    assert ran.stderr.count("retrying in 7.0 s") == 2


def test_no_request_is_sent_after_a_pause_that_ends_too_late(stop: InProcess, sim: Simulator) -> None:
    stop.clock.sleep = lambda seconds: vars(stop.clock).update(now=1e9)  # type: ignore[method-assign]
    sim.faults.add(faults.answer(429), on="stop")
    ran = stop()
    assert ran.exit_code == 6
    assert sim.calls == [STOP]
    assert ran.errors[0].startswith("test run 5080: no time left for a request; increase timeout, or try")
