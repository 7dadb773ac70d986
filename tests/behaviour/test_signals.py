"""SIGINT and SIGTERM end the step within two seconds, with what is known written."""

import signal
import socket
import time
from collections.abc import Callable

import pytest

from tests.conftest import AsProcess, InProcess, Ran
from tests.simulator import Simulator, faults

SIGNALS = [signal.SIGTERM, signal.SIGINT]


def assert_ended(ran: Ran, by: signal.Signals) -> None:
    assert ran.exit_code == 128 + by
    assert ran.seconds < 2
    assert "Traceback" not in ran.log
    assert "KeyboardInterrupt" not in ran.log
    (error,) = ran.errors
    assert f"interrupted by {by.name}" in error
    assert "test run 5080" in error


def asked(sim: Simulator, count: int = 1) -> Callable[[], bool]:
    """Tell when so many requests have come, and a moment has passed for their answers to be read."""
    since: list[float] = []

    def when() -> bool:
        if len(sim.requests) >= count and not since:
            since.append(time.monotonic())
        return bool(since) and time.monotonic() > since[0] + 0.2

    return when


@pytest.mark.parametrize("by", SIGNALS)
@pytest.mark.parametrize("platform", ["console", "github"])
def test_a_signal_during_the_wait_for_quiet(
    platform: str, by: signal.Signals, process: AsProcess, sim: Simulator
) -> None:
    ran = process.interrupted(by, asked(sim), platform, STOP_RECORDING_QUIET_PERIOD="60")
    assert_ended(ran, by)
    known = ran.outputs if platform == "github" else ran.variables
    assert known.get("status", known.get("STOP_RECORDING_STATUS")) == "interrupted"
    assert known.get("test_record_id", known.get("TEST_RECORD_ID")) == "9058"
    assert known.get("baseline_count", known.get("BASELINE_COUNT")) == "5"
    assert "POST" not in {call.split()[0] for call in sim.calls}
    if platform == "github":
        assert ran.results[0]["recording"] is True
        assert "Interrupted" in ran.summary


@pytest.mark.parametrize("by", SIGNALS)
def test_a_signal_during_the_wait_for_another_try(
    by: signal.Signals, process: AsProcess, sim: Simulator
) -> None:
    sim.faults.add(faults.answer(429, headers={"Retry-After": "60"}), times=None)
    ran = process.interrupted(by, asked(sim))
    assert_ended(ran, by)
    assert ran.variables["STOP_RECORDING_STATUS"] == "interrupted"


@pytest.mark.parametrize("by", SIGNALS)
@pytest.mark.parametrize(
    "fault",
    [faults.silence(), faults.silence(headers=False), faults.drip(0.1, part="all")],
    ids=["headers, then silence", "silence", "drip"],
)
def test_a_signal_during_a_request_that_hangs(
    fault: faults.Fault, by: signal.Signals, process: AsProcess, sim: Simulator
) -> None:
    sim.faults.add(fault, times=None)
    ran = process.interrupted(by, asked(sim))
    assert_ended(ran, by)
    assert ran.variables["STOP_RECORDING_STATUS"] == "interrupted"


def test_a_signal_during_a_tls_handshake_that_hangs(process: AsProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(0)
        taken: list[socket.socket] = []

        def when() -> bool:
            try:
                taken.append(mute.accept()[0])
            except BlockingIOError:
                return bool(taken)
            return False

        host = f"https://127.0.0.1:{mute.getsockname()[1]}"
        ran = process.interrupted(signal.SIGTERM, when, WALLARM_API_HOST=host)
        for connection in taken:
            connection.close()
    assert_ended(ran, signal.SIGTERM)


def test_a_signal_during_a_request_inside_tls(process: AsProcess, tls_sim: Simulator, ca_pem: str) -> None:
    tls_sim.faults.add(faults.silence(), times=None)
    ran = process.interrupted(
        signal.SIGTERM, asked(tls_sim), WALLARM_API_HOST=tls_sim.url, STOP_RECORDING_CA_CERT=ca_pem
    )
    assert_ended(ran, signal.SIGTERM)


@pytest.mark.parametrize("by", SIGNALS)
def test_a_signal_while_the_stop_is_not_confirmed_keeps_what_is_known(
    by: signal.Signals, process: AsProcess, sim: Simulator
) -> None:
    sim.state.rules.stop_delay = 1000
    ran = process.interrupted(by, asked(sim, 3), "github")
    assert_ended(ran, by)
    assert ran.outputs["test_record_id"] == "9058"
    assert ran.results[0]["recording"] is True


@pytest.mark.parametrize("by", SIGNALS)
@pytest.mark.parametrize("platform", ["gitlab", "github"])
def test_a_signal_with_several_runs_keeps_the_ones_that_are_done(
    platform: str, by: signal.Signals, process: AsProcess, sim: Simulator
) -> None:
    done = [str(sim.state.create_run(f"run {number}").id) for number in range(3)]
    sim.faults.add(faults.silence(), run=5080, times=None)
    ran = process.interrupted(by, asked(sim, 4), platform, TEST_RUN_ID=" ".join([done[0], "5080", *done[1:]]))
    assert ran.exit_code == 128 + by
    assert ran.seconds < 2
    assert "Traceback" not in ran.log
    assert ran.log.count("interrupted by") == 1
    if platform == "github":
        assert_ended(ran, by)
        assert ran.outputs["test_record_ids"] == '["9059","9060","9061"]'
        assert [result["error"] is None for result in ran.results] == [True, False, True, True]
    else:
        assert ran.variables["TEST_RECORD_ID"] == "9059"
        assert ran.variables["TEST_RECORD_IDS"] == "9059,9060,9061"
        assert ran.variables["STOP_RECORDING_STATUS"] == "interrupted"


def test_a_signal_counts_more_than_a_run_that_failed_before(process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.silence(), run=5080, times=None)
    ran = process.interrupted(signal.SIGTERM, asked(sim, 3), TEST_RUN_ID="nope 5080")
    assert ran.exit_code == 143
    assert len(ran.errors) == 2
    assert ran.variables["STOP_RECORDING_STATUS"] == "interrupted"


def test_a_signal_with_40_runs_that_hang(process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.silence(), times=None)
    ids = [str(sim.state.create_run(f"run {number}").id) for number in range(40)]
    ran = process.interrupted(signal.SIGINT, asked(sim, 16), "github", TEST_RUN_ID=",".join(ids))
    assert ran.exit_code == 130
    assert ran.seconds < 2
    assert len(ran.results) == 40
    assert len(ran.errors) == 40
    assert sim.most_connections <= 16


@pytest.mark.parametrize("attempt", range(6))  # it takes chance for the signals to meet
def test_signals_that_come_at_once_end_the_step_like_one(
    attempt: int, process: AsProcess, sim: Simulator
) -> None:
    """Of several signals the kernel may give all to a thread that is not the one that sees to them."""
    sim.faults.add(faults.silence(), times=None)
    child = process.start("github")
    try:
        ready = asked(sim)
        until = time.monotonic() + 20
        while not ready():
            assert time.monotonic() < until
            time.sleep(0.01)
        started = time.monotonic()
        for by in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            child.send_signal(by)
        ran = process.finish(child, started, limit=5)
    finally:
        child.kill()
    assert ran.exit_code in {143, 130}  # whichever was seen first
    assert ran.seconds < 2
    assert "Traceback" not in ran.log
    assert len(ran.errors) == 1
    assert ran.outputs["status"] == "interrupted"


def test_a_signal_at_the_very_start_shows_no_traceback(process: AsProcess, sim: Simulator) -> None:
    """Before the step could see to signals, the system's way of ending is right as well."""
    sim.faults.add(faults.silence(), times=None)
    for delay in (0.02, 0.05, 0.1, 0.15):
        ready = time.monotonic() + delay
        ran = process.interrupted(signal.SIGTERM, lambda at=ready: time.monotonic() > at)  # type: ignore[misc]
        assert ran.exit_code in {143, -signal.SIGTERM}
        assert "Traceback" not in ran.log
        assert ran.seconds < 2


def test_handlers_are_put_back(step: InProcess) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    step()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
