"""Streams: the log and the outputs on stdout, whatever becomes of their readers."""

import os
import re
import select
import threading
from signal import SIGTERM, Signals

import pytest

from tests.assertions import told
from tests.harness import SOON, AsProcess, Ran
from tests.tools.simulator import Simulator, faults

FULL = "No space left on device"
REASONS = ["Broken pipe", "it is closed", FULL]
# The streams of the log, and what is on the other one.
LOGS = {"github stdout": "", "gitlab stderr": "", "console stderr": "([A-Z_]+=.*\n){5}"}


def broken_stream(reason: str) -> tuple[int, ...]:
    """Return the ends of a stream, the last of which cannot be written for this reason."""
    if reason == FULL:
        return (os.open("/dev/full", os.O_WRONLY),)
    reader, writer = os.pipe()
    if reason == "Broken pipe":
        os.close(reader)
        return (writer,)
    while select.select([], [writer], [], 0)[1]:
        os.write(writer, b"x" * 4096)
    return reader, writer


def run_with_broken(stream: str, reason: str, stop_process: AsProcess, test_run: str) -> Ran:
    """Run the step with a stream of a platform that cannot be written for this reason."""
    platform, name = stream.split()
    ends = broken_stream(reason)
    stop_process.popen[name] = ends[-1]
    if reason == "it is closed":
        stop_process.popen["preexec_fn"] = lambda: os.close({"stdout": 1, "stderr": 2}[name])
    ran = stop_process(platform, TEST_RUN_ID=test_run, STOP_RECORDING_OUTPUT_FILE="x.env")
    for end in ends:
        os.close(end)
    return ran


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        *((stream, reason) for stream in LOGS for reason in REASONS),
        ("github stdout", "stalled"),
        ("console stderr", "stalled"),
    ],
)
def test_a_log_that_cannot_be_written_costs_only_what_is_printed_there(
    stream: str, reason: str, stop_process: AsProcess, sim: Simulator
) -> None:
    """And nothing lands on the other stream but what belongs there."""
    ran = run_with_broken(stream, reason, stop_process, "5080")
    assert ran.exit_code == 0
    assert sim.state.get("5080")["recording"] is False
    assert told(ran) == {("stopped", "9058")}
    assert re.fullmatch(LOGS[stream], ran.log)


def test_a_log_that_cannot_be_written_does_not_hide_the_error(
    stop_process: AsProcess, sim: Simulator
) -> None:
    ran = run_with_broken("github stdout", FULL, stop_process, "1")
    assert ran.exit_code == 4
    assert sim.state.get("5080")["recording"] is True
    assert told(ran) == {("not_found", "")}
    assert ran.log == ""


@pytest.mark.parametrize(
    ("reason", "problem"), [*((reason, reason) for reason in REASONS), ("stalled", "nobody reads it")]
)
def test_outputs_that_cannot_be_printed_fail_the_step_but_keep_no_recording_on(
    reason: str, problem: str, stop_process: AsProcess, sim: Simulator
) -> None:
    ran = run_with_broken("console stdout", reason, stop_process, "5080")
    assert ran.exit_code == 2
    assert sim.state.get("5080")["recording"] is False
    assert told(ran) == {("bad_input", "9058")}
    assert ran.errors == [f"stdout cannot be written: {problem}"]
    assert "Traceback" not in ran.stderr


def test_outputs_that_cannot_be_printed_do_not_hide_an_error_of_the_run(
    stop_process: AsProcess, sim: Simulator
) -> None:
    ran = run_with_broken("console stdout", FULL, stop_process, "1")
    assert ran.exit_code == 4
    assert sim.state.get("5080")["recording"] is True
    assert told(ran) == {("not_found", "")}
    missing, problem = ran.errors
    assert "test run not found" in missing
    assert problem == f"stdout cannot be written: {FULL}"
    assert "Traceback" not in ran.stderr


def test_a_character_that_stdout_cannot_encode_costs_no_line(stop_process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, "нет", http=400), on="stop")
    ran = stop_process("github", PYTHONIOENCODING="ascii")
    assert ran.exit_code == 5
    (error,) = ran.errors
    assert "the API refused the request (HTTP 400: \\u043d\\u0435\\u0442); recording may still be on" in error


@pytest.mark.parametrize("signals", [[], [SIGTERM]], ids=["deadline", "SIGTERM"])
def test_a_slow_reader_of_the_log_does_not_hold_up_the_end(
    signals: list[Signals], stop_process: AsProcess, sim: Simulator
) -> None:
    """It would need 15 s at least for what 1,000 runs print. The outputs are written before."""
    ids = ["5080", *(str(sim.state.create_run("another").id) for _ in range(999))]
    sim.faults.add(faults.silence(), times=None)
    reader, writer = os.pipe()
    ended = threading.Event()

    def read_slowly() -> None:
        while os.read(reader, 1024):
            ended.wait(0.5)

    thread = threading.Thread(target=read_slowly)
    thread.start()
    stop_process.popen["stdout"] = writer
    try:
        env = {"TEST_RUN_ID": ",".join(ids), "STOP_RECORDING_TIMEOUT": "60" if signals else "1"}
        ran = stop_process("github", signals, lambda: len(sim.requests) >= 64, **env)
    finally:
        ended.set()
        os.close(writer)
        thread.join()
        os.close(reader)
    assert ran.exit_code == 143 if signals else 6
    assert len(ran.results) == 1000
    assert ran.seconds < SOON  # and not a minute


def test_any_language_is_printed_in_the_c_locale(stop_process: AsProcess, sim: Simulator) -> None:
    sim.faults.add(faults.envelope(400, "нет — いいえ", http=400))
    ran = stop_process("github", LC_ALL="C", LANG="C")
    assert ran.exit_code == 5
    assert "нет — いいえ" in ran.errors[0]
