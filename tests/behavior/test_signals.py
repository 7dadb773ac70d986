"""SIGINT and SIGTERM end the step at once, with everything that is known written."""

import os
import time
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGSTOP, SIGTERM, Signals, getsignal, pthread_kill
from threading import Barrier, get_ident

import pytest

from tests.harness import LOOK, PLATFORMS, SOON, STOP, AsProcess, InProcess, Ran
from tests.tools.simulator import Exchange, Simulator, faults

EXIT_CODES = {SIGINT: 130, SIGTERM: 143}
INTERRUPTED = "interrupted by {}; recording may still be on"


def assert_interrupted(ran: Ran, by: Signals) -> None:
    assert ran.exit_code == EXIT_CODES[by]
    assert ran.seconds < SOON
    assert "Traceback" not in ran.log
    assert f"test run 5080: {INTERRUPTED.format(by.name)}" in ran.errors


@pytest.mark.parametrize("by", EXIT_CODES)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_signal_ends_the_wait_for_quiet_without_a_stop(
    platform: str, by: Signals, stop_process: AsProcess, sim: Simulator
) -> None:
    env = {"STOP_RECORDING_QUIET_PERIOD": "60", "STOP_RECORDING_OUTPUT_FILE": "file.env"}
    ran = stop_process(platform, [by], lambda: "until none has arrived" in stop_process.log(), **env)
    assert_interrupted(ran, by)
    assert STOP not in sim.calls
    assert ran.variables["STOP_RECORDING_STATUS"] == "interrupted"
    assert ran.variables["TEST_RECORD_ID"] == "9058"
    assert ran.variables["BASELINE_COUNT"] == "5"


def test_a_signal_wins_over_a_failed_run_and_keeps_what_is_known(
    stop_process: AsProcess, sim: Simulator
) -> None:
    """The run 5080 is polled until long after the responses about the others; then a fetch hangs."""
    sim.state.create_run("second")
    sim.faults.add(faults.envelope(200, {"recording": True, "test_record_id": 9058}), on="stop", run=5080)
    for _ in range(2):
        sim.faults.add(lambda exchange: exchange.answer(*exchange.act()), on="GET", run=5080)
    sim.faults.add(faults.silence(), on="GET", run=5080)

    def others_are_done() -> bool:
        answered = ("/nope -> 404", "/5081/action/stop -> 200")
        return sim.calls.count(LOOK) == 3 and all(line in stop_process.log() for line in answered)

    ran = stop_process("github", [SIGTERM], others_are_done, TEST_RUN_ID="nope 5081 5080", RUNNER_DEBUG="1")
    assert_interrupted(ran, SIGTERM)
    assert ran.status == "interrupted"
    assert ran.outputs["test_record_ids"] == '["9059","9058"]'
    assert [result["recording"] for result in ran.results] == [None, False, True]
    missing, stopped, interrupted = (result["error"] for result in ran.results)
    assert "test run not found at" in missing
    assert stopped is None
    assert interrupted == "interrupted by SIGTERM; recording may still be on"


def test_signals_sent_together_end_all_runs_once(stop_process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.silence(), times=None)
    ids = ["5080", *(str(sim.state.create_run("another").id) for _ in range(69))]  # more than connections

    # Stopped, so that it gets the two at the same moment; Python handles the lower number first.
    together = (SIGSTOP, SIGTERM, SIGINT, SIGCONT)
    ran = stop_process("github", together, lambda: len(sim.requests) >= 16, TEST_RUN_ID=",".join(ids))
    assert_interrupted(ran, SIGINT)
    assert ran.errors == [f"test run {run}: {INTERRUPTED.format('SIGINT')}" for run in ids]


def test_a_signal_that_another_thread_takes_ends_the_wait(stop: InProcess, sim: Simulator) -> None:
    def interrupt(exchange: Exchange) -> None:
        pthread_kill(get_ident(), SIGTERM)
        exchange.wait(None)

    sim.faults.add(interrupt)
    assert_interrupted(stop("github"), SIGTERM)


@pytest.mark.parametrize("by", EXIT_CODES)
def test_a_signal_while_the_step_is_being_loaded_ends_it_without_a_traceback(
    by: Signals, stop_process: AsProcess, tmp_path: Path
) -> None:
    (tmp_path / "httpx.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(600)\n")
    ran = stop_process("console", [by], lambda: "importing" in stop_process.log(), PYTHONPATH=str(tmp_path))
    assert ran.exit_code == EXIT_CODES[by]
    assert ran.log == "importing\n"
    assert ran.seconds < SOON


def test_the_handlers_of_before_are_restored(stop: InProcess) -> None:
    before = [getsignal(number) for number in EXIT_CODES]
    stop()
    assert [getsignal(number) for number in EXIT_CODES] == before


def test_responses_that_arrive_while_the_process_is_paused_beyond_its_deadline_are_used(
    stop_process: AsProcess, sim: Simulator, tmp_path: Path
) -> None:
    """As by `docker pause`, or in a snapshot of a virtual machine."""
    ids = ["5080", *(str(sim.state.create_run("another").id) for _ in range(19))]
    all_sent, all_answered = Barrier(20), Barrier(20)

    def answer_while_it_is_paused(exchange: Exchange) -> None:
        last = all_sent.wait(SOON) == 0
        process = int((tmp_path / "pid").read_text())
        if last:
            os.kill(process, SIGSTOP)
        all_sent.wait(SOON)
        exchange.answer(*exchange.act())
        all_answered.wait(SOON)
        if last:
            time.sleep(6)
            os.kill(process, SIGCONT)

    sim.faults.add(answer_while_it_is_paused, times=None)
    stop_process.popen["preexec_fn"] = lambda: (tmp_path / "pid").write_text(str(os.getpid()))
    ran = stop_process("github", TEST_RUN_ID=",".join(ids), STOP_RECORDING_TIMEOUT="5")
    assert ran.exit_code == 0
    assert [result["recording"] for result in ran.results] == [False] * 20
