"""Several test runs at once: results in order, shared connections, and no run that holds up another."""

import json
import queue
import threading
from unittest.mock import Mock

import pytest

from tests.conftest import SOON, AsProcess, InProcess, wait_until
from tests.tools.simulator import Exchange, Simulator, faults
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.parallel import run_all

CONNECTIONS = 16


def create_runs(sim: Simulator, count: int) -> list[str]:
    """Return the ids of that many runs, 5080 first."""
    return ["5080", *(str(sim.state.create_run("another").id) for _ in range(1, count))]


def stopped(sim: Simulator, ids: list[str]) -> bool:
    return not any(sim.state.get(test_run_id)["recording"] for test_run_id in ids)


def test_runs_share_16_connections_and_are_reported_in_order(step: InProcess, sim: Simulator) -> None:
    ids = create_runs(sim, 3 * CONNECTIONS)
    together = threading.Barrier(CONNECTIONS)

    def answer_16_together(exchange: Exchange) -> None:
        together.wait(SOON)
        exchange.answer(*exchange.act())

    sim.faults.add(answer_16_together, times=None)
    ran = step("github", TEST_RUN_ID=",".join([*ids, "5080"]))  # a duplicate is stopped once
    assert ran.exit_code == 0
    assert "::group::Stopping the recording of 48 test runs at " in ran.stdout
    assert sim.connections == sim.most_connections == CONNECTIONS
    assert sorted(sim.calls) == sorted(f"POST /v1/test_run/{test_run_id}/action/stop" for test_run_id in ids)
    assert stopped(sim, ids)
    assert [result["test_run_id"] for result in ran.results] == ids
    assert json.loads(ran.outputs["test_record_ids"]) == [str(9058 + number) for number in range(len(ids))]


def test_runs_that_hang_or_wait_for_a_retry_do_not_hold_up_the_others(
    step: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, *waiting, last = ids = create_runs(sim, 3 * CONNECTIONS)

    def wait_for_the_last(_: object) -> None:
        wait_until(lambda: stopped(sim, [last]))

    def answer_after_the_last(exchange: Exchange) -> None:
        wait_for_the_last(exchange)
        exchange.answer(*exchange.act())

    sim.faults.add(answer_after_the_last, run=hanging)
    monkeypatch.setattr(step.clock, "sleep", wait_for_the_last)
    for test_run_id in waiting:
        sim.faults.add(faults.answer(503), on="stop", run=test_run_id)
    assert step("github", TEST_RUN_ID=",".join(ids)).exit_code == 0
    assert stopped(sim, ids)


# Failures that take no time, with their exit codes and words of their messages.
FAILURES = {
    "busy": (5, "come back later"),
    "forbidden": (3, "the token was refused"),
    "missing": (4, "no such test run"),
    "limited": (6, "Retry-After"),
}


@pytest.fixture
def kinds(sim: Simulator) -> dict[str, str]:
    """The ids of runs by what happens to them: one of the FAILURES or a success."""
    names = "good busy forbidden limited already".split()
    kinds = dict(zip(names, create_runs(sim, len(names)), strict=True))
    sim.faults.add(faults.envelope(409, "come back later"), on="stop", run=kinds["busy"])
    sim.faults.add(faults.answer(403), run=kinds["forbidden"])
    sim.faults.add(faults.answer(429, headers={"Retry-After": "3600"}), run=kinds["limited"])
    sim.state.stop(kinds["already"])
    sim.faults.add(faults.answer(400), on="stop", run=kinds["already"])
    return kinds | {"missing": "nope"}


@pytest.mark.parametrize("order", ["good busy", "forbidden", "missing", "already limited"])
def test_each_run_has_its_own_result_and_the_first_failure_decides(
    order: str, kinds: dict[str, str], step: InProcess, sim: Simulator
) -> None:
    names = list(dict.fromkeys([*order.split(), *kinds]))
    ran = step("github", TEST_RUN_ID=",".join(kinds[name] for name in names))
    assert [result["test_run_id"] for result in ran.results] == [kinds[name] for name in names]
    results = dict(zip(names, ran.results, strict=True))
    failures = [name for name in names if name in FAILURES]
    assert ran.exit_code == FAILURES[failures[0]][0]
    assert ran.errors == [f"test run {kinds[name]}: {results[name]['error']}" for name in failures]
    assert all(FAILURES[name][1] in results[name]["error"] for name in failures)
    for name in ("good", "already"):
        assert (results[name]["error"], results[name]["recording"]) == (None, False)
        assert results[name]["already_stopped"] is (name == "already")
        assert stopped(sim, [kinds[name]])
    for output, field in (("test_record_id",) * 2, ("baseline_count",) * 2, ("test_run_state", "state")):
        assert ran.outputs[output] == str(ran.results[0][field] or "")
    records = [result["test_record_id"] for result in ran.results if result["test_record_id"]]
    assert json.loads(ran.outputs["test_record_ids"]) == records


def test_more_hanging_runs_than_connections_end_at_the_deadline(process: AsProcess, sim: Simulator) -> None:
    ids = create_runs(sim, 40)
    sim.faults.add(faults.silence(act=False, headers=False), times=None)
    ran = process("github", TEST_RUN_ID=",".join(ids), STOP_RECORDING_TIMEOUT="1")
    assert (ran.exit_code, len(ran.errors), len(ran.results)) == (6, 40, 40)
    assert ran.seconds < SOON


def test_only_a_run_that_hangs_is_aborted_half_a_second_after_the_deadline() -> None:
    end, reads = threading.Event(), iter([0.0, 1000.0])
    hanging, done = Mock(run=end.wait), Mock()
    events = Mock(get=Mock(side_effect=[done, queue.Empty]))
    run_all([hanging, done], Deadline(Clock(lambda: next(reads)), at=120), events)
    end.set()
    assert [wait.kwargs["timeout"] for wait in events.get.call_args_list] == [120.5, 0.5]
    (error,) = hanging.abort.call_args.args
    assert str(error) == "no complete answer before the deadline; try again, or raise timeout"
    done.abort.assert_not_called()


@pytest.mark.parametrize("allowed", [1, 3])
def test_the_threads_that_could_be_started_share_the_work(
    allowed: int, step: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, started, start = create_runs(sim, 8), list[threading.Thread](), threading.Thread.start
    main_thread = threading.current_thread()

    def start_if_allowed(thread: threading.Thread) -> None:
        if threading.current_thread() is main_thread:  # the others are the simulator's
            started.append(thread)
            if len(started) > allowed:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_allowed)
    ran = step("github", TEST_RUN_ID=",".join(ids))
    assert (ran.exit_code, len(started)) == (0, allowed + 1)
    assert stopped(sim, ids)
