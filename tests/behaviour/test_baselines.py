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


@pytest.mark.parametrize(("count", "over"), [(1, 5), (20, 30), (100, 60), (3, 20), (10, 77)])
def test_recording_stops_as_soon_as_no_more_baselines_arrive(count: int, over: float, quiet: Quiet) -> None:
    quiet.sim.state.record("5080", count, over)
    ran = quiet()
    assert (ran.exit_code, ran.outputs["baseline_count"]) == (0, f"{5 + count}")
    assert over + 8 <= quiet.stopped_at <= over + 8 + 2
    assert "warning" not in ran.log


@pytest.mark.parametrize(
    ("period", "timeout"), [(0.1, 120), (0.5, 120), (8, 120), (40, 120), (115, 120), (0.5, 1), (24, 30)]
)
def test_the_quiet_period_is_waited_out_in_full(period: float, timeout: float, quiet: Quiet) -> None:
    ran = quiet(period, timeout)
    assert ran.exit_code == 0
    assert "warning" not in ran.log
    assert quiet.stopped_at == pytest.approx(period)
    polls = [later - earlier for (earlier, _), (later, _) in pairwise(quiet.calls[:-1])]
    assert 0 < max(polls) <= min(5, max(0.1, period / 4)) + 1e-6
    assert len(polls) <= max(4, period / 5) + 1


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
    assert (ran.exit_code, ran.results[0]["recording"]) == (0, False)
    assert quiet.stopped_at == latest
    late = f"[0-9]+ baselines after {latest:.0f} s, without a pause of {period} s; stopping now because of"
    assert re.search(f"::warning::test run 5080: {late} timeout, late ones may be lost", ran.stdout)
    near = f"::warning::quiet_period ({period} s) is too close to timeout ({timeout} s); recording is"
    assert (f"{near} stopped after {latest:g} s at the latest" in ran.stdout) is (period > latest)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (None, "the API does not say"),
        (faults.answer(400), "(HTTP 400)"),
        (faults.answer(404), "(HTTP 404)"),
        (faults.answer(405), "(HTTP 405)"),
        (faults.answer(503), "HTTP 503"),
        (faults.answer(429, headers={"Retry-After": "3600"}), "HTTP 429"),
        (faults.reset_before(), "no complete answer from 127.0.0.1:"),
        (faults.answer(200, "<html>"), "the answer cannot be read"),
    ],
)
def test_an_unseen_count_makes_the_wait_a_sleep(fault: faults.Fault | None, why: str, quiet: Quiet) -> None:
    quiet.sim.state.rules.omit_in_get = {"baseline_count"}
    if fault:
        quiet.sim.faults.add(fault, on="GET", times=None)
    ran = quiet()
    assert (ran.exit_code, quiet.stopped_at) == (0, 8)
    assert "test run 5080: ? baselines so far" in ran.stdout
    warning = "::warning::test run 5080: cannot see how many baselines have arrived: "
    assert re.search(f"{warning}.*{re.escape(why)}.*; waited 8 s instead", ran.stdout)


@pytest.mark.parametrize(
    ("code", "retry_after", "seconds"),
    [(429, 3, [0, 3, 5, 7, 9, 11, 11]), (429, 9, [0, 8]), (401, 0, [0, 0]), (403, 0, [0, 0])],
)
def test_a_look_is_repeated_after_retry_after_but_a_refused_token_ends_the_wait(
    code: int, retry_after: int, seconds: list[int], quiet: Quiet
) -> None:
    quiet.sim.faults.add(faults.answer(code, headers={"Retry-After": f"{retry_after}"}), on="GET")
    assert quiet().exit_code == 0
    assert [second for second, _ in quiet.calls] == seconds


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


@pytest.mark.parametrize("dry_run", ["false", "true"])
@pytest.mark.parametrize(
    ("status", "recording", "exit_code"),
    [(401, None, 3), (403, None, 3), (404, None, 4), (200, True, 5), (200, False, 5), (429, None, 6)],
)
def test_an_error_says_that_recording_may_still_be_on_unless_it_is_off_or_in_a_dry_run(
    status: int, recording: bool | None, exit_code: int, dry_run: str, quiet: Quiet
) -> None:
    body = {"body": {"recording": recording, "test_record_id": "../x"}}  # with 200 a malformed record id
    quiet.sim.faults.add(faults.answer(status, body, {"Retry-After": "3600"}), times=None)
    ran = quiet(STOP_RECORDING_DRY_RUN=dry_run)
    assert ran.exit_code == exit_code
    assert (STOP in quiet.sim.calls) is (dry_run == "false" and recording is not False)
    (error,) = ran.errors
    may_be_on = dry_run == "false" and recording is not False and exit_code != 4
    assert error.endswith("; recording may still be on") is may_be_on
    assert error == f"test run 5080: {ran.results[0]['error']}"


@pytest.mark.parametrize("second", [0, 1, 5])
def test_a_recording_that_ends_during_the_wait_is_not_stopped_again(second: float, quiet: Quiet) -> None:
    quiet.sim.state.rules.stop_delay = second
    quiet.sim.state.stop("5080")
    ran = quiet()
    assert (ran.exit_code, set(quiet.sim.calls)) == (0, {LOOK})
    assert second <= quiet.calls[-1][0] <= second + 2
    assert ran.results[0]["already_stopped"] is True
    assert (ran.outputs["status"], ran.outputs["test_record_id"]) == ("stopped", "9058")


@pytest.mark.parametrize(("arrives", "stopped", "exit_code"), [(60, 68, 0), (118, 115, 8)])
def test_the_step_waits_for_min_baselines(arrives: int, stopped: int, exit_code: int, quiet: Quiet) -> None:
    quiet.sim.state.record("5080", 1, over=arrives)
    ran = quiet(STOP_RECORDING_MIN_BASELINES="6")
    assert (ran.exit_code, quiet.stopped_at) == (exit_code, stopped)
    assert quiet.sim.state.find("5080").record.stopped_at < math.inf
    late = "5 baselines after 115 s, fewer than 6; stopping now because of timeout, late ones may be lost"
    assert (f"::warning::test run 5080: {late}" in ran.stdout) is (exit_code == 8)


def test_the_wait_logs_its_progress_less_and_less_often(quiet: Quiet) -> None:
    quiet.sim.state.record("5080", 20, over=31)
    line = r"run 5080: (\d+) baselines so far; waiting until none has arrived for 4 s \((\d+) s left\)"
    progress = re.findall(line, quiet(quiet_period=4).stdout)
    assert [count for count, _ in progress] == ["5", "8", "11", "17"]
    assert [int(progress[0][1]) - int(left) for _, left in progress] == [0, 5, 10, 20]


@pytest.mark.parametrize(
    ("wanted", "omitted", "error", "calls"),
    [
        ("9", "", None, [STOP]),
        ("10", "", "9 baselines recorded, fewer than min_baselines (10)", [STOP]),
        ("0", "baseline_count", None, [STOP]),
        ("9", "baseline_count", None, [STOP, LOOK]),
        ("10", "baseline_count", "9 baselines recorded, fewer than min_baselines (10)", [STOP, LOOK]),
        ("9", "baseline_count", "the API did not say how many baselines were recorded, so", [STOP, LOOK]),
    ],
)
def test_fewer_baselines_than_min_baselines_fail_after_the_stop_and_late_ones_count(
    wanted: str, omitted: str, error: str | None, calls: list[str], quiet: Quiet
) -> None:
    def four_arrive(exchange: Exchange) -> None:
        quiet.sim.state.find("5080").overrides["baseline_count"] = 9
        if error and "did not say" in error:
            quiet.sim.faults.add(faults.answer(400), on="GET")
        exchange.answer(*exchange.act())

    quiet.sim.faults.add(four_arrive, on="stop")
    quiet.sim.state.rules.omit_in_stop = {omitted}
    ran = quiet(20, STOP_RECORDING_MIN_BASELINES=wanted)
    assert ran.exit_code == (8 if error else 0)
    assert quiet.sim.calls[quiet.sim.calls.index(STOP) :] == calls
    assert ran.outputs["test_record_id"] == "9058"
    assert error is None or ran.errors[0].startswith(f"test run 5080: {error}")


def test_an_empty_record_is_called_empty_and_not_offered_for_a_copy(quiet: Quiet) -> None:
    assert "curl " in quiet(0).summary
    quiet.sim.state.find("5080").overrides["baseline_count"] = 0
    ran = quiet(0)
    assert (ran.exit_code, ran.outputs["status"]) == (0, "stopped")
    assert ran.summary.endswith(" | 0 | recording stopped, but the record is empty |\n\n")
    assert "::warning::test run 5080: no baselines were recorded; an empty test record cannot" in ran.stdout


@pytest.mark.parametrize(("recording", "word"), [(True, "on"), (False, "off"), (None, "unknown")])
def test_a_dry_run_looks_once_and_changes_nothing(recording: object, word: str, quiet: Quiet) -> None:
    quiet.sim.state.find("5080").overrides["recording"] = recording
    ran = quiet(STOP_RECORDING_MIN_BASELINES="9", STOP_RECORDING_DRY_RUN="true")
    assert (ran.exit_code, quiet.sim.calls, quiet.clock.slept) == (0, [LOOK], [])
    assert (ran.outputs["status"], ran.outputs["test_record_id"]) == ("dry_run", "9058")
    assert f"found, nothing changed; recording is {word}, " in ran.stdout
