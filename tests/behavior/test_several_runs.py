"""Several test runs at once: results in order, at most 64 connections, and no run holds up another."""

import json
import queue
import sys
import threading
from unittest.mock import Mock

import pytest

from tests.harness import SOON, AsProcess, InProcess, wait_until
from tests.tools.simulator import Exchange, Simulator, faults
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.parallel import run_all

CONNECTIONS = 64


def create_runs(sim: Simulator, count: int) -> list[str]:
    """Return the ids of that many runs, 5080 first."""
    return ["5080", *(str(sim.state.create_run("another").id) for _ in range(1, count))]


def stopped(sim: Simulator, ids: list[str]) -> bool:
    return not any(sim.state.get(test_run_id)["recording"] for test_run_id in ids)


def test_192_runs_are_stopped_64_at_a_time_and_reported_in_order(stop: InProcess, sim: Simulator) -> None:
    ids, under_way = create_runs(sim, 3 * CONNECTIONS), set[int]()
    together, most = threading.Barrier(CONNECTIONS), set[int]()

    def answer_64_together(exchange: Exchange) -> None:
        under_way.add(threading.get_ident())
        together.wait(SOON)
        most.add(len(under_way))
        together.wait(SOON)
        under_way.remove(threading.get_ident())
        exchange.answer(*exchange.act())

    sim.faults.add(answer_64_together, times=None)
    ran = stop("github", TEST_RUN_ID=",".join([*ids, "5080"]))  # a duplicate is stopped once
    assert ran.exit_code == 0
    assert most == {CONNECTIONS}
    assert "::group::Stopping the recording of 192 test runs at " in ran.stdout
    assert sorted(sim.calls) == sorted(f"POST /v1/test_run/{test_run_id}/action/stop" for test_run_id in ids)
    assert stopped(sim, ids)
    assert [result["test_run_id"] for result in ran.results] == ids
    assert json.loads(ran.outputs["test_record_ids"]) == [str(9058 + number) for number in range(len(ids))]


@pytest.mark.parametrize("drip", [0, 1])
@pytest.mark.parametrize(("hanging", "good"), [(16, 24), (CONNECTIONS - 1, 1)])
def test_runs_that_hang_do_not_keep_others_from_being_stopped(
    hanging: int, good: int, drip: int, stop: InProcess, sim: Simulator
) -> None:
    ids = create_runs(sim, hanging + good)

    def hang_until_the_others_are_stopped(exchange: Exchange) -> None:
        status, payload = exchange.act()
        head, body = faults.message(status, " " * 10_000 + json.dumps(payload))
        exchange.send(head)
        while not stopped(sim, ids[hanging:]) and exchange.wait(0.01):
            exchange.send(body[:drip])
            body = body[drip:]
        exchange.send(body)

    for test_run_id in ids[:hanging]:
        sim.faults.add(hang_until_the_others_are_stopped, run=test_run_id)
    ran = stop("github", TEST_RUN_ID=",".join(ids), STOP_RECORDING_TIMEOUT=f"{2 * SOON}")
    assert ran.exit_code == 0
    assert len(sim.calls) == len(ids)
    assert stopped(sim, ids)


def test_runs_that_wait_for_a_retry_do_not_hold_up_the_others(
    stop: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    *waiting, last = ids = create_runs(sim, 2 * CONNECTIONS)
    monkeypatch.setattr(stop.clock, "sleep", lambda _: wait_until(lambda: stopped(sim, [last])))
    for test_run_id in waiting:
        sim.faults.add(faults.answer(503), on="stop", run=test_run_id)
    assert stop("github", TEST_RUN_ID=",".join(ids)).exit_code == 0
    assert stopped(sim, ids)


# What the results say of each kind of run: recording, whether that was off before, words of the error.
KINDS: dict[str, tuple[bool | None, bool, str | None]] = {
    "good": (False, False, None),
    "already": (False, True, None),
    "few": (False, False, "fewer than min_baselines (2)"),
    "busy": (True, False, "come back later"),
    "forbidden": (None, False, "refused the token"),
    "missing": (None, False, "test run not found at"),
    "limited": (None, False, "Retry-After"),
}


@pytest.mark.parametrize(
    ("order", "exit_code", "status", "title"),
    [
        ("good busy few forbidden missing limited already", 5, "refused", "Request refused, 3 of 7 stopped"),
        (
            "already limited missing forbidden few busy good",
            6,
            "unreachable",
            "API not reachable, 3 of 7 stopped",
        ),
        ("few good forbidden", 3, "token_refused", "Token refused, 2 of 3 stopped"),
        ("missing few", 4, "not_found", "Test run not found, 1 of 2 stopped"),
        ("good few already", 8, "too_few_baselines", "Too few baselines, 3 of 3 stopped"),
    ],
)
def test_each_run_has_its_own_result_and_the_first_failure_but_too_few_baselines_decides(  # noqa: PLR0913, PLR0917 - columns
    order: str, exit_code: int, status: str, title: str, stop: InProcess, sim: Simulator
) -> None:
    names = "good already few busy forbidden limited".split()
    kinds = dict(zip(names, create_runs(sim, len(names)), strict=True)) | {"missing": "nope"}
    sim.state.stop(kinds["already"])
    sim.faults.add(faults.answer(400), on="stop", run=kinds["already"])
    sim.state.find(kinds["few"]).overrides["baseline_count"] = 1
    sim.faults.add(faults.envelope(409, "come back later"), on="stop", run=kinds["busy"])
    sim.faults.add(faults.answer(403), run=kinds["forbidden"])
    sim.faults.add(faults.answer(429, headers={"Retry-After": "3600"}), run=kinds["limited"])

    names = order.split()
    ids = [kinds[name] for name in names]
    ran = stop("github", TEST_RUN_ID=",".join(ids), STOP_RECORDING_MIN_BASELINES="2")
    assert ran.exit_code == exit_code
    assert ran.outputs["status"] == status
    assert ran.summary.startswith(f"### Wallarm FAST: {title}\n")
    assert [result["test_run_id"] for result in ran.results] == ids
    for name, result in zip(names, ran.results, strict=True):
        recording, already_stopped, words = KINDS[name]
        assert result["recording"] is recording
        assert result["already_stopped"] is already_stopped
        if words is None:
            assert result["error"] is None
        else:
            assert words in result["error"]
            assert f"test run {result['test_run_id']}: {result['error']}" in ran.errors
    assert len(ran.errors) == sum(result["error"] is not None for result in ran.results)
    assert stopped(sim, [kinds[name] for name in names if name in {"good", "few", "already"}])


def test_the_outputs_are_those_of_the_first_run_and_the_records_of_all(
    stop: InProcess, sim: Simulator
) -> None:
    create_runs(sim, 2)
    ran = stop("github", TEST_RUN_ID="5080 nope 5081")
    assert ran.outputs["test_record_id"] == "9058"
    assert ran.outputs["baseline_count"] == "5"
    assert ran.outputs["test_run_state"] == "running"
    assert ran.outputs["test_record_ids"] == '["9058","9059"]'


def test_the_outputs_of_a_first_run_of_which_nothing_is_known_are_empty(
    stop: InProcess, sim: Simulator
) -> None:
    ran = stop("github", TEST_RUN_ID="nope 5080")
    assert ran.outputs["test_record_id"] == ""
    assert ran.outputs["baseline_count"] == ""
    assert ran.outputs["test_run_state"] == ""
    assert ran.outputs["test_record_ids"] == '["9058"]'


def test_each_of_1000_runs_has_a_result_after_the_deadline(stop_process: AsProcess, sim: Simulator) -> None:
    ids = create_runs(sim, 1000)
    sim.latency = 0.3
    sim.faults.add(faults.answer(503), times=None)
    ran = stop_process("github", TEST_RUN_ID=",".join(ids), STOP_RECORDING_TIMEOUT="1.5")
    assert ran.exit_code == 6
    assert len(ran.errors) == 1000
    assert [result["test_run_id"] for result in ran.results] == ids
    assert all(result["error"] for result in ran.results)


def test_the_step_ends_half_a_second_after_the_deadline_however_many_runs_end_late() -> None:
    now, end = 119.9, threading.Event()
    jobs = [Mock(run=lambda: iter(end.wait, True)) for _ in range(12)]  # which do not end by themselves
    late = iter(jobs)

    def end_another(timeout: float) -> Mock:
        nonlocal now
        now += min(timeout, 0.1)
        if timeout < 0.09:
            raise queue.Empty
        return next(late)

    try:
        run_all(jobs, Deadline(Clock(lambda: now), at=120), Mock(get=end_another))
        assert now == pytest.approx(120.5)
        assert [job.abort.called for job in jobs] == [False] * 6 + [True] * 6
    finally:
        end.set()
    (error,) = jobs[-1].abort.call_args.args
    assert str(error) == "no complete response before the deadline; increase timeout, or try again later"


def test_busy_threads_take_turns_fast_enough_to_end_in_time(
    stop: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with many responses of tiny chunks, which are parsed until the deadline."""
    intervals: list[float] = []
    monkeypatch.setattr(sys, "setswitchinterval", intervals.append)
    assert stop().exit_code == 0
    assert intervals == [0.0005]


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_the_work_is_done_and_logged_by_as_many_threads_as_can_be_started(
    allowed: int, stop: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, asked, start = create_runs(sim, 8), list[threading.Thread](), threading.Thread.start

    def start_if_allowed(thread: threading.Thread) -> None:
        if thread.daemon:  # those of the simulator are not
            asked.append(thread)
            if len(asked) > allowed:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_allowed)
    ran = stop("github", TEST_RUN_ID=",".join(ids))
    assert ran.exit_code == 0
    assert stopped(sim, ids)
    assert len(asked) > allowed
    assert [result["test_run_id"] for result in ran.results] == ids
    assert ran.stdout.count(": recording stopped, test record ") == len(ids)
