"""SIGINT and SIGTERM end the step at once, with everything that is known written."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGSTOP, SIGTERM, Signals, getsignal

import pytest

from tests.conftest import LOOK, PLATFORMS, SOON, STOP, AsProcess, InProcess, Ran, wait_until
from tests.tools.simulator import Simulator, faults

SIGNALS = [SIGTERM, SIGINT]
BLOCKED = 1 << SIGINT - 1 | 1 << SIGTERM - 1
INTERRUPTED = "interrupted by {}; recording may still be on"


def assert_interrupted(ran: Ran, by: Signals) -> None:
    assert ran.exit_code == 128 + by
    assert ran.seconds < SOON
    assert "Traceback" not in ran.log
    assert f"test run 5080: {INTERRUPTED.format(by.name)}" in ran.errors


def signal_masks(pid: int) -> dict[int, int]:
    """Return the mask of blocked signals of each thread of a process."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended
            status = (thread / "status").read_text()
            found[int(thread.name)] = int(re.findall(r"SigBlk:\s*(\w+)", status)[0], 16)
    return found


@pytest.mark.parametrize("by", SIGNALS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_signal_ends_the_wait_for_quiet_without_a_stop(
    platform: str, by: Signals, process: AsProcess, sim: Simulator
) -> None:
    env = {"STOP_RECORDING_QUIET_PERIOD": "60", "STOP_RECORDING_OUTPUT_FILE": "file.env"}
    ran = process.interrupted(by, lambda: "until none has arrived" in process.log(), platform, **env)
    assert_interrupted(ran, by)
    assert STOP not in sim.calls
    assert ran.variables["STOP_RECORDING_STATUS"] == "interrupted"
    assert (ran.variables["TEST_RECORD_ID"], ran.variables["BASELINE_COUNT"]) == ("9058", "5")


RETRY_LATER = faults.answer(429, headers={"Retry-After": "100"})


@pytest.mark.parametrize(("fault", "logged"), [(RETRY_LATER, "retrying in 100.0 s"), (faults.silence(), "")])
def test_a_signal_ends_a_pause_and_a_request_that_hangs(
    fault: faults.Fault, logged: str, process: AsProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, times=None)
    ran = process.interrupted(SIGTERM, lambda: bool(sim.requests) and logged in process.log())
    assert_interrupted(ran, SIGTERM)


def interrupt_when(process: AsProcess, ready: Callable[[int], bool], *by: Signals, **env: str) -> Ran:
    """Send the signals, on GitHub, once `ready` is true of the process id."""
    with process.start("github", **env) as child:
        wait_until(lambda: ready(child.pid))
        for each in by:
            child.send_signal(each)
            if each is SIGSTOP:
                os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        return process.finish(child)


def test_a_signal_wins_over_a_failed_run_and_keeps_what_is_known(process: AsProcess, sim: Simulator) -> None:
    sim.state.create_run("second")
    sim.faults.add(faults.envelope(200, {"recording": True, "test_record_id": 9058}), on="stop", run=5080)
    sim.faults.add(faults.silence(), on="GET", run=5080)

    def other_threads_ended(pid: int) -> bool:
        """There are the main thread, the one that prints, and that of the run whose look hangs."""
        return LOOK in sim.calls and len(signal_masks(pid)) == 3

    ran = interrupt_when(process, other_threads_ended, SIGTERM, TEST_RUN_ID="nope 5081 5080")
    assert_interrupted(ran, SIGTERM)
    assert (ran.outputs["status"], ran.outputs["test_record_ids"]) == ("interrupted", '["9059","9058"]')
    assert [result["recording"] for result in ran.results] == [None, False, True]
    assert "no such test run" in ran.results[0]["error"]
    assert [result["error"] for result in ran.results[1:]] == [None, INTERRUPTED.format("SIGTERM")]


def test_signals_sent_together_end_all_runs_once(process: AsProcess, sim: Simulator) -> None:
    """Worker threads block them: the main thread would not wake up if the kernel gave one to another."""
    sim.faults.add(faults.silence(), times=None)
    ids = ["5080", *(str(sim.state.create_run("another").id) for _ in range(69))]  # more than connections

    def only_the_main_thread_takes_signals(pid: int) -> bool:
        takes = [thread for thread, mask in signal_masks(pid).items() if mask & BLOCKED != BLOCKED]
        return len(sim.requests) >= 16 and takes == [pid]

    # Stopped, so that it gets the two at the same moment; Python handles the lower number first.
    together = (SIGSTOP, SIGTERM, SIGINT, SIGCONT)
    ran = interrupt_when(process, only_the_main_thread_takes_signals, *together, TEST_RUN_ID=",".join(ids))
    assert_interrupted(ran, SIGINT)
    assert ran.errors == [f"test run {run}: {INTERRUPTED.format('SIGINT')}" for run in ids]


@pytest.mark.parametrize("by", SIGNALS)
def test_a_signal_while_the_step_is_being_loaded_ends_it_without_a_traceback(
    by: Signals, process: AsProcess, tmp_path: Path
) -> None:
    (tmp_path / "httpx.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(600)\n")
    ran = process.interrupted(by, lambda: "importing" in process.log(), PYTHONPATH=str(tmp_path))
    assert (ran.exit_code, ran.log) == (128 + by, "importing\n")
    assert ran.seconds < SOON


def test_the_handlers_of_before_are_restored(step: InProcess) -> None:
    before = [getsignal(number) for number in SIGNALS]
    step()
    assert [getsignal(number) for number in SIGNALS] == before
