"""quiet_period, min_baselines, empty records and the dry run; baselines arrive on the step's fake clock."""

import math
import re
from itertools import pairwise

import pytest

from tests.conftest import LOOK, STOP, InProcess, Ran
from tests.tools.simulator import Exchange, Simulator, faults


class Quiet:
    """The step with a quiet period, on GitHub; `calls` has the second at which each request came."""

    def __init__(self, step: InProcess, sim: Simulator) -> None:
        self.step, self.sim, self.clock = step, sim, step.clock
        self.clock.now = started = math.ceil(self.clock.now)  # whole seconds, so that sums are exact
        self.calls: list[tuple[float, str]] = []
        sim.state.clock = self.clock.monotonic
        sim.log = lambda line: self.calls.append((self.clock.now - started, line))

    def __call__(self, quiet_period: float = 8, timeout: float = 120, **env: str) -> Ran:
        periods = {"STOP_RECORDING_QUIET_PERIOD": f"{quiet_period}", "STOP_RECORDING_TIMEOUT": f"{timeout}"}
        return self.step("github", real_time=False, **periods, **env)

    @property
    def stopped_at(self) -> float:
        return next(second for second, line in self.calls if line.startswith("POST"))


@pytest.fixture
def quiet(step: InProcess, sim: Simulator) -> Quiet:
    return Quiet(step, sim)


@pytest.mark.parametrize(("count", "over"), [(1, 5), (20, 30), (100, 60), (3, 20), (10, 77)])
def test_recording_stops_as_soon_as_no_more_baselines_arrive(count: int, over: float, quiet: Quiet) -> None:
    quiet.sim.state.record("5080", count, over)
    ran = quiet()
    assert ran.exit_code == 0
    assert ran.outputs["baseline_count"] == str(5 + count)
    assert over + 8 <= quiet.stopped_at <= over + 8 + 2
    assert "warning" not in ran.log


@pytest.mark.parametrize(
    ("period", "timeout"), [(0.1, 120), (0.5, 120), (8, 120), (40, 120), (100, 120), (8, 10), (24, 30)]
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
    ("period", "timeout", "count", "over"),
    [
        *((8, timeout, 10_000, 5000) for timeout in (9, 20, 60, 120)),
        (60, 120, 3, 55),  # at 55 s it is too late for another 60 s
    ],
)
def test_a_recording_that_is_never_quiet_is_stopped_in_time_for_retries(
    period: float, timeout: float, count: int, over: float, quiet: Quiet
) -> None:
    quiet.sim.state.record("5080", count, over)
    if timeout > 9:
        quiet.sim.faults.add(faults.answer(503), on="stop", times=2)
    ran = quiet(period, timeout)
    assert ran.exit_code == 0
    assert ran.results[0]["recording"] is False
    assert f"::warning::test run 5080: baselines kept arriving for {quiet.stopped_at:.0f} s (" in ran.stdout
    assert min(5, (timeout - period) * 0.4) <= timeout - quiet.stopped_at <= 10


@pytest.mark.parametrize("fault", [faults.answer(503), faults.reset_before()])
def test_a_run_that_cannot_be_read_during_the_wait_is_stopped_in_time(
    fault: faults.Fault, quiet: Quiet
) -> None:
    quiet.sim.faults.add(fault, on="GET", times=None)
    ran = quiet()
    assert ran.exit_code == 0
    assert "::warning::test run 5080: " in ran.stdout
    assert quiet.sim.calls[-1] == STOP
    assert 8 <= quiet.stopped_at <= 115


@pytest.mark.parametrize("code", [None, 400, 405])
def test_a_count_that_is_missing_or_refused_is_waited_for_like_a_sleep(code: int, quiet: Quiet) -> None:
    quiet.sim.state.rules.omit_in_get = {"baseline_count"}
    if code:
        quiet.sim.faults.add(faults.answer(code), on="GET", times=None)
    ran = quiet()
    assert ran.exit_code == 0
    assert quiet.stopped_at == 8
    assert "test run 5080: ? baselines so far" in ran.stdout
    assert "::warning::test run 5080: the API does not say baseline_count; waited 8 s instead" in ran.stdout


def test_a_count_that_is_refused_now_and_then_counts_as_unchanged(quiet: Quiet) -> None:
    for _ in range(8):
        quiet.sim.faults.add(lambda exchange: exchange.answer(*exchange.act()), on="GET")
        quiet.sim.faults.add(faults.answer(400), on="GET")
    assert "warning" not in quiet().log
    assert quiet.stopped_at == 8


def test_transient_failures_during_the_wait_lose_no_baselines(quiet: Quiet) -> None:
    quiet.sim.state.record("5080", 20, over=30)
    for fault in (faults.reset_before(), faults.answer(502), faults.cut(), faults.answer(200, "no")) * 3:
        quiet.sim.faults.add(fault, on="GET")
    assert quiet().outputs["baseline_count"] == "25"
    assert 38 <= quiet.stopped_at < 115


@pytest.mark.parametrize("dry_run", ["false", "true"])
@pytest.mark.parametrize(("status", "exit_code"), [(403, 3), (404, 4), (200, 5)])
def test_an_error_that_prevents_the_stop_ends_the_wait_and_a_dry_run(
    status: int, exit_code: int, dry_run: str, quiet: Quiet
) -> None:
    body = {"body": {"recording": True, "test_record_id": "../x"}}  # with 200 a malformed record id
    quiet.sim.faults.add(faults.answer(status, body), times=None)
    assert quiet(STOP_RECORDING_DRY_RUN=dry_run).exit_code == exit_code
    assert quiet.clock.slept == []
    assert dry_run == "false" or set(quiet.sim.calls) == {LOOK}


@pytest.mark.parametrize("second", [0, 1, 5])
def test_a_recording_that_ends_during_the_wait_is_not_stopped_again(second: float, quiet: Quiet) -> None:
    quiet.sim.state.rules.stop_delay = second
    quiet.sim.state.stop("5080")
    ran = quiet()
    assert ran.exit_code == 0
    assert set(quiet.sim.calls) == {LOOK}
    assert second <= quiet.calls[-1][0] <= second + 2
    assert ran.results[0]["already_stopped"] is True
    assert (ran.outputs["status"], ran.outputs["test_record_id"]) == ("stopped", "9058")


def test_the_wait_logs_its_progress_less_and_less_often(quiet: Quiet) -> None:
    quiet.sim.state.record("5080", 20, over=31)
    line = r"run 5080: (\d+) baselines so far; waiting until none has arrived for 4 s \((\d+) s left\)"
    progress = re.findall(line, quiet(quiet_period=4).stdout)
    assert [count for count, _ in progress] == ["5", "8", "11", "17"]
    assert [int(progress[0][1]) - int(left) for _, left in progress] == [0, 5, 10, 20]


@pytest.mark.parametrize("counted_by", [STOP, LOOK])
def test_baselines_that_arrive_with_the_stop_count(counted_by: str, quiet: Quiet) -> None:
    def late(exchange: Exchange) -> None:
        quiet.sim.state.find("5080").overrides["baseline_count"] = 9
        exchange.answer(*exchange.act())

    quiet.sim.faults.add(late, on="stop")
    quiet.sim.state.rules.omit_in_stop = {"baseline_count"} if counted_by == LOOK else ()
    ran = quiet(STOP_RECORDING_MIN_BASELINES="9")
    assert ran.exit_code == 0
    assert ran.outputs["baseline_count"] == "9"
    assert quiet.sim.calls[-1] == counted_by


FEW = "5 baselines were recorded, fewer than min_baselines (6)"
UNKNOWN = "the API did not say how many baselines were recorded, so min_baselines (5)"


@pytest.mark.parametrize(
    ("wanted", "omitted", "refused", "error", "calls"),
    [
        ("5", "", False, None, [STOP]),
        ("6", "", False, FEW, [STOP]),
        ("0", "baseline_count", False, None, [STOP]),
        ("5", "baseline_count", False, None, [STOP, LOOK]),
        ("6", "baseline_count", False, FEW, [STOP, LOOK]),
        ("5", "baseline_count", True, UNKNOWN, [STOP, LOOK]),
    ],
)
def test_fewer_baselines_than_min_baselines_fail_after_the_stop(  # noqa: PLR0913, PLR0917 - columns of a table
    wanted: str, omitted: str, refused: bool, error: str | None, calls: list[str], quiet: Quiet
) -> None:
    quiet.sim.state.rules.omit_in_stop = {omitted}
    if refused:
        quiet.sim.faults.add(faults.answer(400), on="GET")
    ran = quiet(0, STOP_RECORDING_MIN_BASELINES=wanted)
    assert ran.exit_code == (8 if error else 0)
    assert quiet.sim.calls == calls
    assert ran.outputs["test_record_id"] == "9058"
    assert "warning" not in ran.log
    assert error is None or ran.errors[0].startswith(f"test run 5080: {error}")


@pytest.mark.parametrize(("recording", "word"), [(True, "on"), (False, "off"), (None, "unknown")])
def test_a_dry_run_looks_once_and_changes_nothing(recording: object, word: str, quiet: Quiet) -> None:
    quiet.sim.state.find("5080").overrides["recording"] = recording
    ran = quiet(STOP_RECORDING_MIN_BASELINES="9", STOP_RECORDING_DRY_RUN="true")
    assert ran.exit_code == 0
    assert quiet.sim.calls == [LOOK]
    assert quiet.clock.slept == []
    assert (ran.outputs["status"], ran.outputs["test_record_id"]) == ("dry_run", "9058")
    assert f"found, nothing changed; recording is {word}, " in ran.stdout
