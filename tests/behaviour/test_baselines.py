"""The rules of a recording: the wait until it is quiet, the baselines it must hold, the dry run.

Baselines arrive on the step's fake clock, so a wait of minutes takes no time and is exact.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.conftest import TOKEN, FakeClock, InProcess
from tests.simulator import Exchange, Simulator, faults
from tests.simulator.state import State, View

STOP = "POST /v1/test_run/5080/action/stop"
LOOK = "GET /v1/test_run/5080"


class Watched(State):
    """Notes when which calls came."""

    looks: list[float]
    stopped_at: float | None = None

    def get(self, run_id: int | str) -> View:
        self.looks.append(self.clock())
        return super().get(run_id)

    def stop(self, run_id: int | str) -> View:
        self.stopped_at = self.clock()
        return super().stop(run_id)


@pytest.fixture
def clock(step: InProcess) -> FakeClock:
    return step.clock


@pytest.fixture
def slow(clock: FakeClock) -> Iterator[Simulator]:
    """A simulator on the step's clock; its run 5080 has no baselines yet."""
    with Simulator(token=TOKEN, clock=clock.monotonic) as simulator:
        simulator.state = Watched(simulator.state.rules, clock.monotonic)
        simulator.state.looks = []
        simulator.state.create_run("slow")
        yield simulator


@pytest.fixture
def state(slow: Simulator) -> Watched:
    assert isinstance(slow.state, Watched)
    return slow.state


@pytest.fixture
def quiet(step: InProcess, slow: Simulator) -> InProcess:
    """The step against `slow`, waiting for 8 quiet seconds."""
    step.base |= {"WALLARM_API_HOST": slow.url, "STOP_RECORDING_QUIET_PERIOD": "8"}
    return step


def lost(simulator: Simulator, count: int) -> int:
    found = simulator.state.get("5080")["baseline_count"]
    assert isinstance(found, int)
    return count - found


@pytest.mark.parametrize(("count", "over"), [(1, 5), (20, 30), (100, 60), (3, 20), (10, 77)])
def test_no_late_baseline_is_lost(
    count: int, over: float, quiet: InProcess, slow: Simulator, clock: FakeClock
) -> None:
    slow.state.record("5080", count, over=over)
    ran = quiet("github")
    assert ran.exit_code == 0
    assert ran.outputs["baseline_count"] == str(count)
    clock.now += 1000
    assert lost(slow, count) == 0
    assert slow.calls[-1] == STOP


def test_recording_is_stopped_as_soon_as_it_is_quiet(
    quiet: InProcess, slow: Simulator, state: Watched, clock: FakeClock
) -> None:
    started = clock.now
    state.record("5080", 4, over=20)
    quiet()
    assert state.stopped_at is not None
    assert started + 20 + 8 <= state.stopped_at <= started + 20 + 8 + 2.5


def test_a_recording_that_is_quiet_from_the_start_is_stopped_after_the_quiet_period(
    quiet: InProcess, state: Watched, clock: FakeClock
) -> None:
    started = clock.now
    assert quiet().exit_code == 0
    assert state.stopped_at is not None
    assert 8 <= state.stopped_at - started <= 8.01


@pytest.mark.parametrize("seconds", ["0.1", "0.5", "8", "40", "100"])
def test_the_wait_looks_often_enough_and_not_too_often(
    seconds: str, quiet: InProcess, state: Watched
) -> None:
    assert quiet(STOP_RECORDING_QUIET_PERIOD=seconds).exit_code == 0
    gaps = [later - earlier for earlier, later in pairwise(state.looks)]
    assert gaps
    assert max(gaps) <= min(5, max(0.1, float(seconds) / 4)) + 1e-6
    assert len(gaps) <= max(4, float(seconds) / 5) + 1


def test_without_a_quiet_period_nothing_is_waited_for(quiet: InProcess, slow: Simulator) -> None:
    slow.state.record("5080", 4, over=20)
    assert quiet(STOP_RECORDING_QUIET_PERIOD="0").variables["BASELINE_COUNT"] == "0"
    assert slow.calls == [STOP]


@pytest.mark.parametrize("timeout", [9, 20, 60, 120])
def test_a_recording_that_never_rests_is_stopped_before_the_deadline_with_a_warning(
    timeout: int, quiet: InProcess, state: Watched, clock: FakeClock
) -> None:
    started = clock.now
    state.record("5080", 10_000, over=5000)
    ran = quiet("github", STOP_RECORDING_TIMEOUT=str(timeout))
    assert ran.exit_code == 0
    assert "::warning::test run 5080: baselines kept arriving" in ran.stdout
    assert ran.results[0]["recording"] is False
    assert state.stopped_at is not None
    assert state.stopped_at - started < timeout
    assert state.stopped_at - started >= timeout - 10 - 0.1


def test_time_is_left_to_retry_the_stop_of_a_recording_that_never_rests(
    quiet: InProcess, slow: Simulator
) -> None:
    slow.state.record("5080", 10_000, over=5000)
    slow.faults.add(faults.answer(503), on="stop", times=3)
    ran = quiet()
    assert ran.exit_code == 0
    assert ran.variables["STOP_RECORDING_STATUS"] == "stopped"


def test_a_count_that_is_missing_is_waited_for_once(
    quiet: InProcess, slow: Simulator, state: Watched, clock: FakeClock
) -> None:
    started = clock.now
    slow.state.rules.omit_in_get = slow.state.rules.omit_in_stop = {"baseline_count"}
    ran = quiet()
    assert ran.exit_code == 0
    assert ran.variables["BASELINE_COUNT"] == ""
    assert state.stopped_at is not None
    assert 8 <= state.stopped_at - started <= 8.01


@pytest.mark.parametrize("code", [400, 405])
def test_a_run_that_cannot_be_looked_at_is_waited_for_once(
    code: int, quiet: InProcess, slow: Simulator, state: Watched, clock: FakeClock
) -> None:
    started = clock.now
    slow.faults.add(faults.answer(code), on="GET", times=None)
    ran = quiet()
    assert ran.exit_code == 0
    assert state.stopped_at is not None
    assert 8 <= state.stopped_at - started <= 8.01


def test_a_look_that_is_refused_now_and_then_counts_as_unchanged(
    quiet: InProcess, slow: Simulator, state: Watched, clock: FakeClock
) -> None:
    started = clock.now
    state.record("5080", 3)
    for _ in range(8):
        slow.faults.add(lambda exchange: exchange.answer(*exchange.act()), on="GET")
        slow.faults.add(faults.answer(400), on="GET")
    ran = quiet()
    assert ran.exit_code == 0
    assert "warning" not in ran.log
    assert state.stopped_at is not None
    assert state.stopped_at - started <= 8 + 2.5


def test_no_such_run_is_told_without_a_wait_for_its_baselines(quiet: InProcess, slow: Simulator) -> None:
    ran = quiet(TEST_RUN_ID="nope")
    assert ran.exit_code == 4
    assert ran.variables["STOP_RECORDING_STATUS"] == "not_found"
    assert quiet.clock.slept == []


def test_a_refused_token_ends_the_wait(quiet: InProcess, slow: Simulator) -> None:
    slow.faults.add(faults.answer(403), on="GET", times=None)
    assert quiet().exit_code == 3
    assert slow.calls == [LOOK]


def test_a_record_id_that_is_not_an_id_ends_the_wait(quiet: InProcess, slow: Simulator) -> None:
    slow.state.find("5080").overrides["test_record_id"] = "../x"
    assert quiet().exit_code == 5
    assert slow.calls == [LOOK]


def test_an_api_that_cannot_be_reached_ends_the_wait_in_time_for_the_stop(
    quiet: InProcess, slow: Simulator
) -> None:
    slow.faults.add(faults.answer(503), on="GET", times=None)
    ran = quiet()
    assert ran.exit_code == 0
    assert slow.calls[-1] == STOP
    assert "warning: test run 5080: stopped without waiting for late baselines" in ran.stderr


def test_faults_during_the_wait_lose_no_baseline(quiet: InProcess, slow: Simulator, clock: FakeClock) -> None:
    slow.state.record("5080", 20, over=30)
    for fault in (faults.reset_before(), faults.answer(502), faults.cut(), faults.answer(200, "no")) * 3:
        slow.faults.add(fault, on="GET")
    assert quiet().exit_code == 0
    clock.now += 1000
    assert lost(slow, 20) == 0


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_recording_found_stopped_during_the_wait_is_not_stopped_again(
    after: int, quiet: InProcess, slow: Simulator
) -> None:
    slow.state.record("5080", 5)

    def stop_behind_its_back(exchange: Exchange) -> None:
        slow.state.stop("5080")
        exchange.answer(*exchange.act())

    slow.faults.add(lambda exchange: exchange.answer(*exchange.act()), on="GET", times=max(after, 1))
    if after:
        slow.faults.add(stop_behind_its_back, on="GET")
    else:
        slow.state.stop("5080")
    ran = quiet("github")
    assert ran.exit_code == 0
    assert "POST" not in {call.split()[0] for call in slow.calls}
    (result,) = ran.results
    assert result["already_stopped"] is True
    assert result["test_record_id"] == "9058"
    assert ran.outputs["status"] == "stopped"


def test_a_recording_found_stopped_whose_record_is_never_named_is_not_confirmed(
    quiet: InProcess, slow: Simulator
) -> None:
    slow.state.stop("5080")
    slow.state.find("5080").overrides["test_record_id"] = None
    ran = quiet()
    assert ran.exit_code == 7
    assert "recording is off, but the API named no test record" in ran.errors[0]


def test_the_wait_tells_how_far_it_is(quiet: InProcess, slow: Simulator) -> None:
    slow.state.record("5080", 20, over=30)
    ran = quiet()
    told = [line for line in ran.stderr.splitlines() if "baselines so far; waiting until none" in line]
    assert 2 <= len(told) <= 6
    assert "for 8 s" in told[0]


def test_each_of_several_runs_is_waited_for_on_its_own(quiet: InProcess, slow: Simulator) -> None:
    other = slow.state.create_run("other")
    slow.state.record(other.id, 6)
    ran = quiet("github", TEST_RUN_ID=f"5080,{other.id}")
    assert ran.exit_code == 0
    assert [result["baseline_count"] for result in ran.results] == [0, 6]


# min_baselines and empty records


@pytest.mark.parametrize(("wanted", "exit_code"), [("0", 0), ("1", 0), ("5", 0), ("6", 8), ("1000000", 8)])
def test_fewer_baselines_than_wanted_fail_after_the_stop(
    wanted: str, exit_code: int, step: InProcess, sim: Simulator
) -> None:
    ran = step(STOP_RECORDING_MIN_BASELINES=wanted)
    assert ran.exit_code == exit_code
    assert sim.calls == [STOP]
    assert sim.state.get("5080")["recording"] is False
    assert ran.variables["TEST_RECORD_ID"] == "9058"
    assert ran.variables["BASELINE_COUNT"] == "5"
    if exit_code:
        (error,) = ran.errors
        assert error.startswith(
            f"test run 5080: 5 baselines were recorded, fewer than min_baselines ({wanted})"
        )
        assert ran.variables["STOP_RECORDING_STATUS"] == "too_few_baselines"


def test_a_count_that_only_the_look_tells_is_looked_for(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.omit_in_stop = {"baseline_count"}
    assert step(STOP_RECORDING_MIN_BASELINES="6").exit_code == 8
    assert sim.calls == [STOP, LOOK]


def test_a_count_that_only_the_look_tells_is_not_looked_for_in_vain(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.omit_in_stop = {"baseline_count"}
    assert step().exit_code == 0
    assert sim.calls == [STOP]


def test_a_count_that_cannot_be_had_fails_min_baselines(step: InProcess, sim: Simulator) -> None:
    sim.state.rules.omit_in_stop = {"baseline_count"}
    sim.faults.add(faults.answer(500), on="GET", times=None)
    ran = step(STOP_RECORDING_MIN_BASELINES="1")
    assert ran.exit_code == 8
    assert "did not say how many" in ran.errors[0]
    assert ran.variables["TEST_RECORD_ID"] == "9058"


@pytest.mark.parametrize("platform", ["console", "github"])
def test_an_empty_record_is_warned_of(platform: str, step: InProcess, sim: Simulator) -> None:
    sim.state.find("5080").overrides["baseline_count"] = 0
    ran = step(platform)
    assert ran.exit_code == 0
    mark = {"console": "warning: ", "github": "::warning::"}[platform]
    assert (
        f"{mark}test run 5080: no baselines were recorded; an empty test record cannot be copied" in ran.log
    )


def test_a_record_with_baselines_is_not_warned_of(step: InProcess) -> None:
    assert "warning" not in step().log


# dry_run


@pytest.mark.parametrize(("recording", "word"), [(True, "on"), (False, "off"), (None, "not told")])
def test_a_dry_run_looks_and_changes_nothing(
    recording: object, word: str, step: InProcess, sim: Simulator
) -> None:
    sim.state.find("5080").overrides["recording"] = recording
    ran = step(
        "github",
        STOP_RECORDING_DRY_RUN="true",
        STOP_RECORDING_QUIET_PERIOD="8",
        STOP_RECORDING_MIN_BASELINES="9",
    )
    assert ran.exit_code == 0
    assert sim.calls == [LOOK]
    assert ran.outputs["status"] == "dry_run"
    assert ran.outputs["test_record_id"] == "9058"
    assert f"nothing changed; recording is {word}" in ran.stdout
    assert "dry run" in ran.summary
    sim.state.find("5080").overrides.clear()
    assert sim.state.get("5080")["recording"] is True


@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [
        (faults.answer(403), 3),
        (faults.answer(404), 4),
        (faults.answer(400), 5),
        (faults.answer(500), 6),
        (faults.reset_before(), 6),
        (faults.answer(200, "[]"), 5),
    ],
)
def test_a_dry_run_fails_as_the_stop_would(
    fault: faults.Fault, exit_code: int, step: InProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, times=None)
    ran = step(STOP_RECORDING_DRY_RUN="true")
    assert ran.exit_code == exit_code
    assert len(ran.errors) == 1
    assert "POST" not in {call.split()[0] for call in sim.calls}


def test_the_time_that_is_left_is_used_even_if_it_is_less_than_the_quiet_period(
    quiet: InProcess, state: Watched, clock: FakeClock
) -> None:
    started = clock.now
    state.record("5080", 3, over=55)
    quiet(STOP_RECORDING_QUIET_PERIOD="60", STOP_RECORDING_TIMEOUT="120")
    assert state.stopped_at is not None
    assert state.stopped_at - started >= 109


def test_baselines_that_came_with_the_stop_count(quiet: InProcess, slow: Simulator, state: Watched) -> None:
    state.record("5080", 3)

    def late(exchange: Exchange) -> None:
        exchange.act()
        state.find("5080").overrides["baseline_count"] = 9
        exchange.answer(200, {"status": 200, "body": {"recording": False, "test_record_id": 9058}})

    slow.faults.add(late, on="stop")
    ran = quiet("github", STOP_RECORDING_MIN_BASELINES="9")
    assert ran.exit_code == 0
    assert ran.outputs["baseline_count"] == "9"
