"""Every row of docs/failure-modes.md about the verdict step is true: each is run, and each case has a row."""

import re
import signal
from collections.abc import Callable

import pytest

from tests.failure_modes import VERDICT_ROWS, Case, Change, fault, kill, rules, show
from tests.harness import SOON, InProcess, Ran
from tests.tools.simulator import Simulator, faults

STATUSES = {
    "4": "not_found",
    "5": "refused",
    "6": "unreachable",
    "9": "failed",
    "10": "aborted",
    "11": "unfinished",
    "12": "not_tested",
    "143": "interrupted",
}


def vulns(*threats: int) -> Change:
    return rules(vulns=[{"id": number, "threat": threat} for number, threat in enumerate(threats)])


def copying(*changes: Change, says: str, record: str = "9058", copies: int = 1) -> Case:
    """Return a case of copying, with every retry in the log."""
    return Case(
        *changes, says=says, copies=copies, FAST_VERDICT_COPY="true", TEST_RECORD_ID=record, RUNNER_DEBUG="1"
    )


def abort(step: InProcess, sim: Simulator, patch: pytest.MonkeyPatch) -> None:
    sim.state.find("5080").interrupted = True


CASES = {
    "the tests have found nothing": Case(says="5080: passed, 5 baselines"),
    "vulnerabilities of `min_threat` or more": Case(vulns(50), says="1 vulnerability found"),
    "only vulnerabilities below `min_threat`": Case(
        vulns(50),
        says="passed, 4 of 5 baselines passed, 1 vulnerability below min_threat",
        FAST_VERDICT_MIN_THREAT="51",
    ),
    "more than 500 vulnerabilities": Case(vulns(*[7] * 501), says="501 vulnerabilities found"),
    "the API reports the run as failed and returns no vulnerabilities": Case(
        show(state="failed"), says="the API returned no vulnerabilities"
    ),
    "the run was aborted, by hand or by another run on the node": Case(
        abort, says="was aborted", aborted=[5080]
    ),
    "the tests are not finished at the deadline": Case(rules(test_seconds=9999), says="the run continues"),
    "the run is in a state that nobody knows": Case(show(state="dormant"), says="state dormant, 5 of 5"),
    "the run passed, but nothing was tested": Case(
        show(baseline_check_passed_count=0, baseline_check_tech_fail_count=5), says="nothing was tested"
    ),
    "the run passed, and the API returns no counts": Case(
        rules(omit_in_get=[f"baseline_check_{kind}_count" for kind in ("passed", "fail")]),
        says="::warning::test run 5080: the API did not return how many baselines were tested",
    ),
    "the run passed, and a count in the response is not a whole number": Case(
        show(baseline_check_fail_count="many"),
        says="not a whole number in the response: baseline_check_fail_count",
    ),
    "no FAST node is active for a minute": Case(
        show(node_active=False), rules(test_seconds=300), says="no FAST node is active"
    ),
    "429 or 5xx while waiting, temporarily": Case(
        fault(faults.answer(429), "GET", 4), fault(faults.answer(502), "GET", 5), says="HTTP 502; retrying"
    ),
    "the recorded run is still being tested": copying(
        rules(test_seconds=200), says="copied as test run 5081"
    ),
    "the copy is rejected for now (423, 429)": copying(
        fault(faults.answer(423), "POST"),
        fault(faults.answer(429, headers={"Retry-After": "7"}), "POST", 2),
        says="HTTP 423; retrying(.|\n)*HTTP 429; retrying in 7.0 s",
        copies=4,
    ),
    "the response to the copy is lost": copying(fault(faults.reset_after(), "POST"), says="may be running"),
    "the record is empty or still being recorded": copying(
        lambda step, sim, patch: sim.state.create_run("second"),
        says="record 9059: .*not_ready_for_cloning.*stopped recording and a record that is not empty",
        record="9059",
    ),
    "there is no such test record": copying(
        says="test record not found .*; check test_record_id and cloud_region", record="1"
    ),
    "SIGTERM while waiting": Case(kill(signal.SIGTERM), says="interrupted by SIGTERM"),
}


@pytest.fixture
def run_row(verdict: InProcess, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Ran]:
    """Runs the case of a row, of which these things are true whatever its exit code."""

    def run(row: str) -> Ran:
        case = CASES[row]
        sim.state.clock = verdict.clock.monotonic
        sim.state.rules.test_seconds = 20
        sim.state.find("5080").node = ""  # that of the token, on which a copy would abort it
        sim.state.stop("5080")
        verdict.clock.now += 1
        for change in case.changes:
            change(verdict, sim, monkeypatch)
        ran = verdict("github", FAST_VERDICT_TIMEOUT="600", **case.env)
        assert re.search(case.says, ran.log)
        assert sim.calls.count("POST /v1/test_run") == case.copies
        assert [run.id for run in sim.state.runs.values() if run.interrupted] == [*case.aborted]
        assert ran.seconds < SOON
        return ran

    return run


@pytest.mark.parametrize("row", [row for row, _, code in VERDICT_ROWS if code == "0"])
def test_the_step_succeeds_where_the_page_says_so(row: str, run_row: Callable[[str], Ran]) -> None:
    ran = run_row(row)
    assert ran.exit_code == 0
    assert ran.status == "passed"
    assert ran.errors == []


@pytest.mark.parametrize(("row", "code"), [(row, code) for row, _, code in VERDICT_ROWS if code != "0"])
def test_the_step_fails_where_the_page_says_so(row: str, code: str, run_row: Callable[[str], Ran]) -> None:
    ran = run_row(row)
    assert ran.exit_code == int(code)
    assert ran.status == STATUSES[code]
    assert ran.errors != []


@pytest.mark.parametrize("row", [row for row, action, _ in VERDICT_ROWS if "retries" in action])
def test_the_step_retries_where_the_page_says_so(row: str, run_row: Callable[[str], Ran]) -> None:
    assert "retrying in" in run_row(row).log


def test_every_case_has_a_row_on_the_page() -> None:
    assert list(CASES) == [row for row, _, _ in VERDICT_ROWS]
