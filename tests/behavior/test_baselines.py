"""quiet_period, min_baselines, empty records and the dry run; baselines arrive on the step's fake clock."""

import math
import re
from itertools import pairwise

import pytest

from tests.harness import LOOK, STOP, InProcess, Ran
from tests.tools.simulator import Exchange, Simulator, faults


class Quiet:
    """The step with a quiet period, on GitHub; `calls` has the second at which each request came."""

    def __init__(self, stop: InProcess, sim: Simulator) -> None:
        self.stop, self.sim, self.clock = stop, sim, stop.clock
        self.clock.now = started = math.ceil(self.clock.now)  # whole seconds, so that sums are exact
        self.calls: list[tuple[float, str]] = []
        sim.state.clock = self.clock.monotonic
        sim.log = lambda line: self.calls.append((self.clock.now - started, line))

    def __call__(self, quiet_period: float = 8, timeout: float = 120, **env: str) -> Ran:
        periods = {"STOP_RECORDING_QUIET_PERIOD": f"{quiet_period}", "STOP_RECORDING_TIMEOUT": f"{timeout}"}
        return self.stop("github", **periods, **env)

    @property
    def stopped_at(self) -> float:
        return next(second for second, line in self.calls if line.startswith("POST"))


@pytest.fixture
def quiet(stop: InProcess, sim: Simulator) -> Quiet:
    return Quiet(stop, sim)


@pytest.mark.parametrize(
    ("count", "over", "total", "stopped"),
    [(1, 5, "6", 13), (20, 30, "25", 38), (100, 60, "105", 68), (3, 20, "8", 28), (10, 77, "15", 85)],
)
def test_recording_stops_as_soon_as_no_more_baselines_arrive(
    count: int, over: float, total: str, stopped: float, quiet: Quiet
) -> None:
    quiet.sim.state.record("5080", count, over)
    ran = quiet()
    assert ran.exit_code == 0
    assert ran.outputs["baseline_count"] == total
    assert stopped <= quiet.stopped_at <= stopped + 2
    assert "warning" not in ran.log


@pytest.mark.parametrize(
    ("period", "timeout", "longest", "most"),  # the longest pause between two polls, and the most polls
    [
        (0.1, 120, 0.1, 5),
        (0.5, 120, 0.125, 5),
        (8, 120, 2, 5),
        (40, 120, 5, 9),
        (115, 120, 5, 24),
        (0.5, 1, 0.125, 5),
        (24, 30, 5, 5),
    ],
)
def test_the_quiet_period_is_waited_out_in_full(
    period: float, timeout: float, longest: float, most: int, quiet: Quiet
) -> None:
    ran = quiet(period, timeout)
    assert ran.exit_code == 0
    assert "warning" not in ran.log
    assert quiet.stopped_at == pytest.approx(period)
    polls = [later - earlier for (earlier, _), (later, _) in pairwise(quiet.calls[:-1])]
    assert 0 < max(polls) <= longest + 1e-6
    assert len(polls) <= most


@pytest.mark.parametrize(
    ("period", "timeout", "latest"),
    [(8, 9, 4.5), (8, 13, 8), (8, 60, 55), (8, 120, 115), (60, 120, 115), (116, 120, 115)],
)
def test_5_seconds_or_half_of_timeout_are_left_for_the_stop(
    period: float, timeout: float, latest: float, quiet: Quiet
) -> None:
    quiet.sim.state.record("5080", 10_000, over=5000)
    quiet.sim.faults.add(faults.answer(503), on="stop", times=2)
    ran = quiet(period, timeout)
    assert ran.exit_code == 0
    assert ran.results[0]["recording"] is False
    assert quiet.stopped_at == latest
    assert re.search(
        f"::warning::test run 5080: [0-9]+ baselines after {latest:.0f} s, without a pause of {period} s; "
        "stopping now because of timeout, late ones may be lost",
        ran.stdout,
    )


NEAR = "quiet_period ({} s) is too close to timeout ({} s); recording is stopped after {} s at the latest"


@pytest.mark.parametrize(
    ("period", "timeout", "warnings"),
    [
        (8, 9, [NEAR.format("8", "9", "4.5")]),
        (116, 120, [NEAR.format("116", "120", "115")]),
        (8, 17, []),
        (115, 120, []),
    ],
)
def test_a_quiet_period_that_leaves_less_than_that_gets_a_warning(
    period: float, timeout: float, warnings: list[str], quiet: Quiet
) -> None:
    assert re.findall("::warning::(quiet_period.*)", quiet(period, timeout).stdout) == warnings


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (None, "the API returned no baseline_count"),
        (faults.answer(400), "(HTTP 400)"),
        (faults.answer(405), "(HTTP 405)"),
        (faults.answer(503), "HTTP 503"),
        (faults.answer(429, headers={"Retry-After": "3600"}), "HTTP 429"),
        (faults.reset_before(), "no complete response from 127.0.0.1:"),
        (faults.answer(200, "no"), "unreadable response"),
    ],
)
def test_an_unseen_count_makes_the_wait_a_sleep(fault: faults.Fault | None, why: str, quiet: Quiet) -> None:
    quiet.sim.state.rules.omit_in_get = {"baseline_count"}
    if fault:
        quiet.sim.faults.add(fault, on="GET", times=None)
    ran = quiet()
    assert ran.exit_code == 0
    assert quiet.stopped_at == 8
    assert "test run 5080: unknown number of baselines so far" in ran.stdout
    warning = "::warning::test run 5080: cannot see how many baselines have arrived: "
    assert re.search(f"{warning}.*{re.escape(why)}.*; waited 8 s instead", ran.stdout)


@pytest.mark.parametrize(("retry_after", "seconds"), [(3, [0, 3, 5, 7, 9, 11, 11]), (9, [0, 8])])
def test_a_fetch_is_repeated_no_sooner_than_retry_after(
    retry_after: int, seconds: list[int], quiet: Quiet
) -> None:
    quiet.sim.faults.add(faults.answer(429, headers={"Retry-After": f"{retry_after}"}), on="GET")
    assert quiet().exit_code == 0
    assert [second for second, _ in quiet.calls] == seconds


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_refused_token_or_an_unknown_run_ends_the_wait(code: int, quiet: Quiet) -> None:
    quiet.sim.faults.add(faults.envelope(code, "no", http=code), on="GET")
    ran = quiet()
    assert ran.exit_code == 0
    assert quiet.sim.calls == [LOOK, STOP]
    assert quiet.stopped_at == 0
    assert "warning" not in ran.log


def test_a_run_that_is_not_found_is_reported_once(quiet: Quiet) -> None:
    ran = quiet(TEST_RUN_ID="nope")
    assert ran.exit_code == 4
    assert quiet.clock.slept == []
    assert ran.log.count("test run nope: ") == 1


def test_failures_now_and_then_lose_no_baselines_and_do_not_prolong_the_wait(quiet: Quiet) -> None:
    quiet.sim.state.record("5080", 20, over=30)
    bad = [faults.reset_before(), faults.cut(), *(faults.answer(code, "<html>") for code in (200, 400, 502))]
    for fault in bad * 5:
        quiet.sim.faults.add(lambda exchange: exchange.answer(*exchange.act()), on="GET")
        quiet.sim.faults.add(fault, on="GET")
    ran = quiet()
    assert ran.outputs["baseline_count"] == "25"
    assert "warning" not in ran.log
    assert 38 <= quiet.stopped_at <= 42


def refuse(quiet: Quiet, status: int, recording: bool | None) -> None:
    """Let the API answer everything with this, and with a malformed id of the record."""
    body = {"body": {"recording": recording, "test_record_id": "../x"}}
    quiet.sim.faults.add(faults.answer(status, body, {"Retry-After": "3600"}), times=None)


@pytest.mark.parametrize(
    ("status", "recording", "exit_code"), [(401, None, 3), (403, None, 3), (200, True, 5), (429, None, 6)]
)
def test_an_error_says_that_recording_may_still_be_on(
    status: int, recording: bool | None, exit_code: int, quiet: Quiet
) -> None:
    refuse(quiet, status, recording)
    ran = quiet()
    assert ran.exit_code == exit_code
    assert STOP in quiet.sim.calls
    (error,) = ran.errors
    assert error.endswith("; recording may still be on")
    assert error == f"test run 5080: {ran.results[0]['error']}"


@pytest.mark.parametrize(
    ("status", "recording", "exit_code", "calls"),
    [(404, None, 4, {LOOK, STOP}), (200, False, 5, {LOOK})],
    ids=["no such run", "off"],
)
def test_an_error_does_not_say_so_if_there_is_no_recording(
    status: int, recording: bool | None, exit_code: int, calls: set[str], quiet: Quiet
) -> None:
    refuse(quiet, status, recording)
    ran = quiet()
    assert ran.exit_code == exit_code
    assert set(quiet.sim.calls) == calls
    (error,) = ran.errors
    assert "recording may still be on" not in error
    assert error == f"test run 5080: {ran.results[0]['error']}"


@pytest.mark.parametrize(
    ("status", "recording", "exit_code"),
    [(401, None, 3), (403, None, 3), (404, None, 4), (200, True, 5), (200, False, 5), (429, None, 6)],
)
def test_an_error_in_a_dry_run_does_not_say_that_recording_may_still_be_on(
    status: int, recording: bool | None, exit_code: int, quiet: Quiet
) -> None:
    refuse(quiet, status, recording)
    ran = quiet(STOP_RECORDING_DRY_RUN="true")
    assert ran.exit_code == exit_code
    assert STOP not in quiet.sim.calls
    (error,) = ran.errors
    assert "recording may still be on" not in error
    assert error == f"test run 5080: {ran.results[0]['error']}"


@pytest.mark.parametrize("second", [0, 1, 5])
def test_a_recording_that_ends_during_the_wait_is_not_stopped_again(second: float, quiet: Quiet) -> None:
    quiet.sim.state.rules.stop_delay = second
    quiet.sim.state.stop("5080")
    ran = quiet()
    assert ran.exit_code == 0
    assert set(quiet.sim.calls) == {LOOK}
    assert second <= quiet.calls[-1][0] <= second + 2
    assert ran.results[0]["already_stopped"] is True
    assert ran.outputs["status"] == "stopped"
    assert ran.outputs["test_record_id"] == "9058"


LATE = (
    "::warning::test run 5080: 5 baselines after 115 s, fewer than 6; stopping now because of timeout, late"
)


def test_the_step_waits_for_min_baselines(quiet: Quiet) -> None:
    quiet.sim.state.record("5080", 1, over=60)
    ran = quiet(STOP_RECORDING_MIN_BASELINES="6")
    assert ran.exit_code == 0
    assert quiet.stopped_at == 68
    assert LATE not in ran.stdout


def test_min_baselines_that_do_not_arrive_in_time_fail_after_the_stop(quiet: Quiet) -> None:
    quiet.sim.state.record("5080", 1, over=118)
    ran = quiet(STOP_RECORDING_MIN_BASELINES="6")
    assert ran.exit_code == 8
    assert quiet.stopped_at == 115
    assert quiet.sim.state.find("5080").record.stopped_at < math.inf
    assert f"{LATE} ones may be lost" in ran.stdout


def test_the_wait_logs_its_progress_less_and_less_often(quiet: Quiet) -> None:
    quiet.sim.state.record("5080", 20, over=31)
    line = r"run 5080: (\d+) baselines so far; waiting until none has arrived for 4 s \((\d+) s left\)"
    progress = re.findall(line, quiet(quiet_period=4).stdout)
    assert [count for count, _ in progress] == ["5", "8", "11", "17"]
    assert [int(progress[0][1]) - int(left) for _, left in progress] == [0, 5, 10, 20]


def let_late_ones_arrive(sim: Simulator, *, fetch: faults.Fault | None = None) -> None:
    """Let four more baselines arrive just before the stop, and maybe the fetch after it fail."""

    def four_arrive(exchange: Exchange) -> None:
        sim.state.find("5080").overrides["baseline_count"] = 9
        if fetch:
            sim.faults.add(fetch, on="GET")
        exchange.answer(*exchange.act())

    sim.faults.add(four_arrive, on="stop")


@pytest.mark.parametrize(
    ("wanted", "omitted", "calls"),
    [("9", "", [STOP]), ("0", "baseline_count", [STOP]), ("9", "baseline_count", [STOP, LOOK])],
)
def test_baselines_that_arrive_just_before_the_stop_count(
    wanted: str, omitted: str, calls: list[str], quiet: Quiet
) -> None:
    let_late_ones_arrive(quiet.sim)
    quiet.sim.state.rules.omit_in_stop = {omitted}
    ran = quiet(20, STOP_RECORDING_MIN_BASELINES=wanted)
    assert ran.exit_code == 0
    assert quiet.sim.calls[quiet.sim.calls.index(STOP) :] == calls
    assert ran.outputs["test_record_id"] == "9058"


@pytest.mark.parametrize(("omitted", "calls"), [("", [STOP]), ("baseline_count", [STOP, LOOK])])
def test_fewer_baselines_than_min_baselines_fail_after_the_stop(
    omitted: str, calls: list[str], quiet: Quiet
) -> None:
    let_late_ones_arrive(quiet.sim)
    quiet.sim.state.rules.omit_in_stop = {omitted}
    ran = quiet(20, STOP_RECORDING_MIN_BASELINES="10")
    assert ran.exit_code == 8
    assert quiet.sim.calls[quiet.sim.calls.index(STOP) :] == calls
    assert ran.outputs["test_record_id"] == "9058"
    (error,) = ran.errors
    assert error.startswith("test run 5080: 9 baselines recorded, fewer than min_baselines (10)")


def test_too_few_baselines_do_not_say_that_recording_is_off_if_no_response_does(
    stop: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides.update(recording=None)
    ran = stop(STOP_RECORDING_MIN_BASELINES="6")
    assert ran.exit_code == 8
    assert "5 baselines recorded, fewer than min_baselines (6); the stop was accepted; check" in ran.stderr


def test_min_baselines_fail_after_the_stop_if_the_count_is_not_known(quiet: Quiet) -> None:
    let_late_ones_arrive(quiet.sim, fetch=faults.answer(400))
    quiet.sim.state.rules.omit_in_stop = {"baseline_count"}
    ran = quiet(20, STOP_RECORDING_MIN_BASELINES="9")
    assert ran.exit_code == 8
    assert quiet.sim.calls[quiet.sim.calls.index(STOP) :] == [STOP, LOOK]
    assert ran.outputs["test_record_id"] == "9058"
    (error,) = ran.errors
    assert error.startswith(
        "test run 5080: the API returned no baseline_count, so min_baselines (9) cannot be"
    )


def test_the_record_of_an_aborted_run_gets_a_warning(stop: InProcess, sim: Simulator) -> None:
    sim.state.find("5080").overrides.update(state="interrupted", recording=False)
    ran = stop("github")
    assert ran.exit_code == 0
    warning = "test run 5080: the test run was aborted; its test record may be incomplete"
    assert f"\n::warning::{warning}\n" in ran.stdout


def test_an_empty_record_is_called_empty_and_not_offered_for_a_copy(quiet: Quiet) -> None:
    assert "run the verdict step with `copy: true` and `test_record_id: 9058`" in quiet(0).summary
    quiet.sim.state.find("5080").overrides["baseline_count"] = 0
    ran = quiet(0)
    assert ran.exit_code == 0
    assert ran.outputs["status"] == "stopped"
    assert ran.summary.endswith(" | 0 | recording stopped&#44; but the record is empty |\n\n")
    assert "::warning::test run 5080: no baselines were recorded; an empty test record cannot" in ran.stdout


@pytest.mark.parametrize(("recording", "word"), [(True, "on"), (False, "off"), (None, "unknown")])
def test_a_dry_run_fetches_the_run_once_and_changes_nothing(
    recording: object, word: str, quiet: Quiet
) -> None:
    quiet.sim.state.find("5080").overrides["recording"] = recording
    ran = quiet(STOP_RECORDING_MIN_BASELINES="9", STOP_RECORDING_DRY_RUN="true")
    assert ran.exit_code == 0
    assert quiet.sim.calls == [LOOK]
    assert quiet.clock.slept == []
    assert ran.outputs["status"] == "dry_run"
    assert ran.outputs["test_record_id"] == "9058"
    assert f"found, nothing changed; recording is {word}, " in ran.stdout
