"""SIGINT and SIGTERM end the step at once, with everything that is known written."""

import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.conftest import LOOK, PLATFORMS, SOON, STOP, AsProcess, InProcess, Ran, wait_until
from tests.tools.simulator import Simulator, faults
from wallarm_fast.api.client import MAX_CONNECTIONS

SIGNALS = [SIGTERM, SIGINT]
BLOCKED = 1 << SIGINT - 1 | 1 << SIGTERM - 1


def assert_interrupted(ran: Ran, by: Signals) -> None:
    assert ran.exit_code == 128 + by
    assert ran.seconds < SOON
    assert "Traceback" not in ran.log
    assert f"test run 5080: interrupted by {by.name}" in ran.errors


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


HANGING = [
    (faults.answer(429, headers={"Retry-After": "100"}), "retrying in 100.0 s"),
    (faults.drip(0.1, part="all"), ""), (faults.silence(), ""),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "logged"), HANGING)
def test_a_signal_ends_a_pause_and_a_request_that_hangs(
    fault: faults.Fault, logged: str, process: AsProcess, tls_sim: Simulator, ca_pem: str
) -> None:
    tls_sim.faults.add(fault, times=None)
    env = {"WALLARM_API_HOST": tls_sim.url, "STOP_RECORDING_CA_CERT": ca_pem}
    ran = process.interrupted(SIGTERM, lambda: bool(tls_sim.requests) and logged in process.log(), **env)
    assert_interrupted(ran, SIGTERM)


def test_a_signal_ends_a_tls_handshake_that_hangs(process: AsProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, ExitStack() as stack:
        mute.settimeout(3 * SOON)
        env = {"WALLARM_API_HOST": f"https://127.0.0.1:{mute.getsockname()[1]}"}
        ran = process.interrupted(SIGTERM, lambda: bool(stack.enter_context(mute.accept()[0])), **env)
    assert_interrupted(ran, SIGTERM)


def interrupt_when(process: AsProcess, ready: Callable[[int], bool], *by: Signals, **env: str) -> Ran:
    """Send the signals, on GitHub, once `ready` is true of the process id."""
    with process.start("github", **env) as child:
        wait_until(lambda: ready(child.pid))
        for each in by:
            child.send_signal(each)
            if each is signal.SIGSTOP:
                os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        return process.finish(child)


def test_a_signal_wins_over_a_failed_run_and_keeps_what_is_known(process: AsProcess, sim: Simulator) -> None:
    sim.state.create_run("second")
    sim.faults.add(faults.envelope(200, {"recording": True, "test_record_id": 9058}), on="stop", run=5080)
    sim.faults.add(faults.silence(), on="GET", run=5080)

    def others_done(pid: int) -> bool:
        """Their threads have ended."""
        return LOOK in sim.calls and len(signal_masks(pid)) == 2

    ran = interrupt_when(process, others_done, SIGTERM, TEST_RUN_ID="nope 5081 5080")
    assert_interrupted(ran, SIGTERM)
    assert (ran.outputs["status"], ran.outputs["test_record_ids"]) == ("interrupted", '["9059","9058"]')
    assert [result["recording"] for result in ran.results] == [None, False, True]
    assert "no such test run" in ran.results[0]["error"]
    assert [result["error"] for result in ran.results[1:]] == [None, "interrupted by SIGTERM"]


def test_signals_sent_together_end_all_runs_once(process: AsProcess, sim: Simulator) -> None:
    """Worker threads block them: the main thread would not wake up if the kernel gave one to another."""
    sim.faults.add(faults.silence(), times=None)
    ids = ["5080", *(str(sim.state.create_run("another").id) for _ in range(MAX_CONNECTIONS + 3))]

    def only_the_main_thread_takes_signals(pid: int) -> bool:
        takes = [thread for thread, mask in signal_masks(pid).items() if mask & BLOCKED != BLOCKED]
        return len(sim.requests) == MAX_CONNECTIONS and takes == [pid]

    # Stopped, so that it gets the two at the same moment; Python handles the lower number first.
    together = (signal.SIGSTOP, SIGTERM, SIGINT, signal.SIGCONT)
    ran = interrupt_when(process, only_the_main_thread_takes_signals, *together, TEST_RUN_ID=",".join(ids))
    assert_interrupted(ran, SIGINT)
    assert ran.errors == [f"test run {run}: interrupted by SIGINT" for run in ids]


@pytest.mark.parametrize(("by", "exit_code"), [(SIGTERM, -SIGTERM), (SIGINT, 130)])
def test_a_signal_before_the_step_handles_signals_ends_it_without_a_traceback(
    by: Signals, exit_code: int, process: AsProcess, tmp_path: Path
) -> None:
    (tmp_path / "httpx.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(600)\n")
    ran = process.interrupted(by, lambda: "importing" in process.log(), PYTHONPATH=str(tmp_path))
    assert ran.exit_code == exit_code
    assert ran.log == "importing\n"
    assert ran.seconds < SOON


def test_the_handlers_of_before_are_restored(step: InProcess) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    step()
    assert [signal.getsignal(number) for number in SIGNALS] == before
