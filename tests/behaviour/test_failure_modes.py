"""The page "What happens when..." is true: each of its rows is run, and no row is without a run."""

import os
import re
import signal
import socket
import ssl
import threading
from collections.abc import Callable

import pytest
import trustme

from tests.conftest import ROOT, InProcess, Ran
from tests.simulator import Simulator, faults

ROWS = re.findall(
    r"(?m)^\| (.+?) \| (.+?) \| (\d+) \|$", (ROOT / "docs" / "what-happens-when.md").read_text()
)
Scenario = Callable[[InProcess, Simulator], Ran]
SCENARIOS: dict[str, Scenario] = {}


def when(row: str) -> Callable[[Scenario], Scenario]:
    def register(scenario: Scenario) -> Scenario:
        SCENARIOS[row] = scenario
        return scenario

    return register


@pytest.mark.parametrize(("row", "exit_code"), [(row, int(code)) for row, _, code in ROWS])
def test_the_page_tells_the_exit_code(row: str, exit_code: int, step: InProcess, sim: Simulator) -> None:
    assert SCENARIOS[row](step, sim).exit_code == exit_code


def test_the_page_has_every_scenario() -> None:
    assert sorted(SCENARIOS) == sorted(row for row, _, _ in ROWS)


@when("the answer says that recording is off and names the record")
def _(step: InProcess, sim: Simulator) -> Ran:
    ran = step()
    assert len(sim.calls) == 1
    return ran


@when("the answer does not name the record")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.rules.omit_in_stop = {"test_record_id"}
    ran = step()
    assert ran.variables["TEST_RECORD_ID"] == "9058"
    return ran


@when("the record is not named before time is up")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.rules.record_id_delay = 1000
    return step(TEST_RUN_ID=str(sim.state.create_run("late record").id))


@when("recording is still on when time is up")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.rules.stop_delay = 1000
    ran = step()
    assert "still on" in ran.errors[0]
    return ran


@when("no answer says `recording`, but the record is named")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.rules.omit_in_stop = sim.state.rules.omit_in_get = {"recording"}
    ran = step()
    assert "warning: test run 5080: the API accepted the stop" in ran.stderr
    return ran


@when("recording was off before")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.stop("5080")
    sim.state.rules.second_stop = "refuse"
    ran = step("github")
    assert ran.results[0]["already_stopped"] is True
    return ran


@when("the answer to the stop is lost")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.faults.add(faults.reset_after(), on="stop")
    ran = step()
    assert [call.split()[0] for call in sim.calls] == ["POST", "GET"]
    return ran


@when("the API does not know the call, but knows the run")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.rules.stop_call_unknown = 404
    ran = step()
    assert sim.calls[-1] == "POST /v1/test_record/9058/action/stop"
    return ran


@when("one of several runs fails")
def _(step: InProcess, sim: Simulator) -> Ran:
    ran = step(TEST_RUN_ID="nope,5080")
    assert sim.state.get("5080")["recording"] is False
    return ran


@when("baselines still arrive during `quiet_period`")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.clock = step.clock.monotonic
    sim.state.record("5080", 20, over=30)
    ran = step(STOP_RECORDING_QUIET_PERIOD="5")
    assert ran.variables["BASELINE_COUNT"] == "25"
    return ran


@when("baselines never come to rest")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.clock = step.clock.monotonic
    sim.state.record("5080", 1000, over=1000)
    ran = step(STOP_RECORDING_QUIET_PERIOD="5")
    assert sim.state.get("5080")["recording"] is False
    assert "baselines kept arriving" in ran.stderr
    return ran


@when("nothing was recorded")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.rules.baselines = 0
    ran = step(TEST_RUN_ID=str(sim.state.create_run("empty").id))
    assert "an empty test record cannot be copied" in ran.stderr
    return ran


@when("fewer than `min_baselines` were recorded")
def _(step: InProcess, sim: Simulator) -> Ran:
    ran = step(STOP_RECORDING_MIN_BASELINES="6")
    assert ran.variables["TEST_RECORD_ID"] == "9058"
    assert sim.state.get("5080")["recording"] is False
    return ran


@when("the API does not say how many, with `min_baselines`")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.rules.omit_in_stop = sim.state.rules.omit_in_get = {"baseline_count"}
    return step(STOP_RECORDING_MIN_BASELINES="1")


@when("the token is refused (401, 403)")
def _(step: InProcess, sim: Simulator) -> Ran:
    ran = step(WALLARM_API_TOKEN="another-token")
    assert len(sim.calls) == 1
    return ran


@when("there is no such test run")
def _(step: InProcess, sim: Simulator) -> Ran:
    return step(TEST_RUN_ID="5081")


@when("any other refusal (4xx)")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.faults.add(faults.envelope(400, "no", http=400), on="stop")
    ran = step()
    assert [call.split()[0] for call in sim.calls] == ["POST", "GET"]
    return ran


@when("HTTP 200, but the envelope's `status` is 400 or more")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.faults.add(faults.envelope(400, "no", http=200), on="stop")
    return step()


@when("408, 423, 425, 429 or 5xx, for a while")
def _(step: InProcess, sim: Simulator) -> Ran:
    for code in (408, 423, 425, 429, 500, 502, 503, 504, 522, 599):
        sim.faults.add(faults.answer(code), on="stop")
    return step()


@when("408, 423, 425, 429 or 5xx, for ever")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.faults.add(faults.answer(503), times=None)
    ran = step()
    assert len(sim.calls) > 10
    return ran


@when("`Retry-After` asks for more time than is left")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.faults.add(faults.answer(429, headers={"Retry-After": "3600"}), on="stop")
    ran = step()
    assert "3600 s (Retry-After)" in ran.errors[0]
    assert len(sim.calls) == 1
    return ran


@when("a redirect")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.faults.add(faults.answer(302, headers={"Location": sim.url}), on="stop")
    return step()


@when("an answer that is not JSON, damaged or over 1 MiB")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.faults.add(faults.answer(200, "<html>please log in</html>"), times=None)
    ran = step()
    assert len(sim.calls) > 10
    return ran


@when("a record id that is not an id")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.state.find("5080").overrides["test_record_id"] = "../../etc"
    return step()


@when("no connection, or the host is not known")
def _(step: InProcess, sim: Simulator) -> Ran:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ran = step(WALLARM_API_HOST=f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert len(step.clock.slept) > 10
    return ran


@when("no answer, or one that comes too slowly")
def _(step: InProcess, sim: Simulator) -> Ran:
    sim.faults.add(faults.silence(), times=None)
    return step(STOP_RECORDING_TIMEOUT="1", real_time=True)


@when("the certificate is not trusted, expired or of another host")
def _(step: InProcess, sim: Simulator) -> Ran:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with Simulator(tls=context) as stranger:
        ran = step(WALLARM_API_HOST=stranger.url)
    assert step.clock.slept == []
    return ran


@when("inputs are wrong")
def _(step: InProcess, sim: Simulator) -> Ran:
    ran = step(TEST_RUN_ID="a/b", STOP_RECORDING_TIMEOUT="soon")
    assert "test_run_id" in ran.errors[0]
    assert "timeout" in ran.errors[0]
    assert sim.calls == []
    return ran


@when("the output file cannot be written")
def _(step: InProcess, sim: Simulator) -> Ran:
    ran = step(STOP_RECORDING_OUTPUT_FILE="missing/file")
    assert sim.calls == []
    return ran


@when("the job summary cannot be written")
def _(step: InProcess, sim: Simulator) -> Ran:
    ran = step("github", GITHUB_STEP_SUMMARY="missing/file")
    assert "::warning::no job summary" in ran.stdout
    return ran


def _signalled(step: InProcess, sim: Simulator, number: signal.Signals) -> Ran:
    sim.faults.add(faults.silence(), times=None)

    def send() -> None:
        while not sim.calls:
            threading.Event().wait(0.01)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    ran = step("gitlab")
    sender.join()
    assert ran.seconds < 2
    assert ran.variables["STOP_RECORDING_STATUS"] == "interrupted"
    return ran


@when("SIGINT")
def _(step: InProcess, sim: Simulator) -> Ran:
    return _signalled(step, sim, signal.SIGINT)


@when("SIGTERM")
def _(step: InProcess, sim: Simulator) -> Ran:
    return _signalled(step, sim, signal.SIGTERM)


@when("a bug")
def _(step: InProcess, sim: Simulator) -> Ran:
    step.clock.wall = None  # type: ignore[method-assign, assignment]
    sim.faults.add(faults.answer(503, headers={"Retry-After": "Wed, 21 Oct 2035 07:28:00 GMT"}), on="stop")
    ran = step()
    assert "Traceback" in ran.stderr
    return ran
