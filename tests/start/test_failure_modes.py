"""Every row of docs/failure-modes.md about the start step is true: each is run, and each case has a row."""

import re
import signal
from collections.abc import Callable

import pytest

from tests.failure_modes import START_ROWS, Case, Change, always, fault, kill, rules
from tests.harness import SOON, InProcess, Ran
from tests.tools.simulator import Simulator, faults

STATUSES = {
    "2": "bad_input",
    "3": "token_refused",
    "4": "not_found",
    "5": "refused",
    "6": "unreachable",
    "10": "aborted",
    "13": "not_ready",
    "143": "interrupted",
}
CREATE, POLL = "POST /v1/test_run", "GET /v1/test_run/5081"
STOP_IT = "the test run may be recording, so run the stop step"
LOOK_FOR_IT = "a test run may be recording, look in the portal"
SLOW = rules(ready_delay=5)


def omit(*fields: str) -> Change:
    return rules(omit_in_create=fields, omit_in_get=fields)


CASES = {
    "the response to the create says that the node is ready": Case(calls=[CREATE]),
    "the node needs a while": Case(SLOW, calls=[CREATE, POLL, POLL, POLL]),
    "the API does not return `ready_for_recording`": Case(
        omit("ready_for_recording"), says="::warning::.*no ready_for_recording; the FAST node is assumed"
    ),
    "the API returns neither that nor `node_active`": Case(
        omit("ready_for_recording", "node_active"), says="::warning::.*neither .* the FAST node is assumed"
    ),
    "no container of the node runs with this token": Case(
        rules(node_active=False), says=f"5081: no container of the FAST node runs.*{STOP_IT}"
    ),
    "the container runs, but does not get ready": Case(
        rules(ready_delay=1000), says=f"5081: the FAST node is not ready to record yet; .*{STOP_IT}"
    ),
    "the new run is aborted": Case(rules(overrides={"state": "interrupted"}), says="state interrupted"),
    "the create is rejected for now (423, 429)": Case(
        fault(faults.answer(423), "POST"), fault(faults.answer(429), "POST"), calls=[CREATE, CREATE, CREATE]
    ),
    "there is no connection for the create": Case(
        says="no connection to .*tried \\d\\d times",
        created=False,
        WALLARM_API_HOST="http://127.0.0.1:{port}",
    ),
    "the response to the create is lost": Case(
        fault(faults.reset_after(), "POST"), says=LOOK_FOR_IT, calls=[CREATE], created=False
    ),
    "the response to the create has no id": Case(
        fault(faults.envelope(200, {}), "POST"), says=LOOK_FOR_IT, calls=[CREATE], created=False
    ),
    "the create is refused (4xx)": Case(
        fault(faults.envelope(409, "Already exists"), "POST"), says="HTTP 409: Already exists", created=False
    ),
    "the create is refused with 404": Case(
        fault(faults.envelope(404, "no node"), "POST"), says="HTTP 404: no node", created=False
    ),
    "the token is refused": Case(says="refused the token", created=False, WALLARM_API_TOKEN="another"),
    "the new run is not found at first": Case(SLOW, fault(faults.answer(404), "GET", 4)),
    "the new run is not found for 30 seconds": Case(
        SLOW, always(faults.answer(404), "GET"), says=f"5081: test run not found .*{STOP_IT}"
    ),
    "429 or 5xx while waiting, temporarily": Case(
        SLOW, fault(faults.answer(429), "GET", 4), fault(faults.answer(502), "GET", 5)
    ),
    "429 or 5xx while waiting, until the deadline": Case(
        SLOW, always(faults.answer(503), "GET"), says=f"5081: the API responded with HTTP 503 .*{STOP_IT}"
    ),
    "the same after the run was seen": Case(
        SLOW,
        fault(faults.envelope(200, {"ready_for_recording": False}), "GET"),
        always(faults.answer(503), "GET"),
        says=f"5081: the FAST node is not ready to record yet; .*{STOP_IT}",
    ),
    "invalid inputs": Case(
        says="::timeout(.|\n)*::rps", calls=[], created=False, INPUT_RPS="x", INPUT_TIMEOUT="x"
    ),
    "`GITHUB_ENV` is not set": Case(says="::warning::GITHUB_ENV is not set", GITHUB_ENV=""),
    "`GITHUB_ENV` cannot be written": Case(
        says="::GITHUB_ENV: '/no/such' cannot be", calls=[], created=False, GITHUB_ENV="/no/such"
    ),
    "the file system is full after the create": Case(
        SLOW, says=f"5081: the file '/dev/full' cannot be .*{STOP_IT}", calls=[CREATE], GITHUB_ENV="/dev/full"
    ),
    "SIGTERM while waiting": Case(
        SLOW, kill(signal.SIGTERM, "GET"), says=f"5081: interrupted by SIGTERM; {STOP_IT}"
    ),
    "SIGTERM during the create": Case(
        kill(signal.SIGTERM), says=f"interrupted by SIGTERM; {LOOK_FOR_IT}", calls=[CREATE], created=False
    ),
}


@pytest.fixture
def run_row(
    start: InProcess, sim: Simulator, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Ran]:
    """Runs the case of a row, of which these things are true whatever its exit code."""

    def run(row: str) -> Ran:
        case = CASES[row]
        for change in case.changes:
            change(start, sim, monkeypatch)
        env = {name: value.format(port=closed_port) for name, value in case.env.items()}
        ran = start("github", **env)
        assert re.search(case.says, ran.log)
        assert case.calls in (None, sim.calls)
        assert ran.outputs["test_run_id"] == ("5081" if case.created else "")
        assert ran.seconds < SOON
        return ran

    return run


@pytest.mark.parametrize("row", [row for row, _, code in START_ROWS if code == "0"])
def test_the_step_succeeds_where_the_page_says_so(row: str, run_row: Callable[[str], Ran]) -> None:
    ran = run_row(row)
    assert ran.exit_code == 0
    assert ran.status == "ready"
    assert ran.errors == []


@pytest.mark.parametrize(("row", "code"), [(row, code) for row, _, code in START_ROWS if code != "0"])
def test_the_step_fails_where_the_page_says_so(row: str, code: str, run_row: Callable[[str], Ran]) -> None:
    ran = run_row(row)
    assert ran.exit_code == int(code)
    assert ran.status == STATUSES[code]
    assert ran.errors != []


@pytest.mark.parametrize("row", [row for row, action, _ in START_ROWS if "retries" in action])
def test_the_step_retries_where_the_page_says_so(row: str, run_row: Callable[[str], Ran]) -> None:
    assert "retrying in" in run_row(row).log


@pytest.mark.parametrize("row", [row for row, action, _ in START_ROWS if "at once" in action])
def test_the_step_fails_without_a_pause_where_the_page_says_at_once(
    row: str, run_row: Callable[[str], Ran], start: InProcess
) -> None:
    run_row(row)
    assert start.clock.slept == []


@pytest.mark.parametrize("row", [row for row, action, _ in START_ROWS if "no run was created" in action])
def test_nothing_is_said_of_a_recording_where_no_run_was_created(
    row: str, run_row: Callable[[str], Ran]
) -> None:
    assert "may be recording" not in run_row(row).log


def test_every_case_has_a_row_on_the_page() -> None:
    assert list(CASES) == [row for row, _, _ in START_ROWS]
