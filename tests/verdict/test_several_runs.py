"""Many runs, and runs with many vulnerabilities: fair shares, few threads, bounded logs and memory."""

import threading
import tracemalloc

import pytest

from tests.harness import InProcess
from tests.plans import FAILED, GOING, INFO, XSS, plan
from tests.tools.simulator import Simulator, faults
from wallarm_fast.api.test_run import TestRun, Vulnerability
from wallarm_fast.verdict.report import VerdictReport, VerdictResult


def result(number: int, *threats: int) -> VerdictResult:
    """Return the result of a run with vulnerabilities of these threats, the worst first."""
    found = tuple(Vulnerability(str(threat), threat, None, None) for threat in threats)
    return VerdictResult(test_run_id=str(number), latest=TestRun(vulnerabilities=found), min_threat=50)


def listed(*results: VerdictResult) -> list[int]:
    """Return how many vulnerabilities of each run are in the outputs."""
    return [len(items) for items in VerdictReport(results=results).listed]


def test_a_run_may_use_what_others_leave_of_the_500() -> None:
    assert listed(result(1, *[70] * 600), result(2), result(3, *[70] * 20)) == [480, 0, 20]


def test_runs_that_need_more_share_the_500() -> None:
    assert listed(result(1, *[70] * 600), result(2, *[70] * 600), result(3, *[70] * 100)) == [200, 200, 100]


def test_vulnerabilities_that_fail_the_step_come_before_the_others_of_all_runs() -> None:
    assert listed(result(1, *[20] * 600), result(2, *[70] * 300, *[20] * 300)) == [100, 400]


def test_600_runs_share_the_500() -> None:
    assert sum(listed(*(result(number, 70) for number in range(600)))) == 500


def test_the_summary_says_how_many_vulnerabilities_are_left_out() -> None:
    results = [result(1, *[70] * 600), result(2, 20)]
    summary = VerdictReport(results=results).make_outputs(()).summary
    assert "\n601 vulnerabilities, 101 of which are left out here and in the outputs:\n" in summary


def test_the_summary_says_nothing_of_that_where_all_are_listed() -> None:
    summary = VerdictReport(results=[result(1, *[70] * 500)]).make_outputs(()).summary
    assert "\n500 vulnerabilities:\n" in summary


@pytest.fixture
def few_threads(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Lets the step start only as many threads as the parameter says."""
    allowed, start = [None] * request.param, threading.Thread.start

    def start_if_allowed(thread: threading.Thread) -> None:
        if thread.daemon:  # those of the simulator are not
            if not allowed:
                raise RuntimeError("can't start new thread")
            allowed.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_allowed)


@pytest.mark.parametrize("few_threads", [0, 1, 2, 4], indirect=True)
@pytest.mark.usefixtures("few_threads")
def test_a_run_that_goes_on_does_not_hold_up_others_where_threads_are_few(
    verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, GOING)
    for run_id in range(5081, 5086):
        plan(sim, GOING, {**FAILED, "vulns": [XSS]}, run=run_id)
    ran = verdict("github", TEST_RUN_ID="5080 5081 5082 5083 5084 5085", FAST_VERDICT_TIMEOUT="600")
    assert ran.exit_code == 11
    states = [result["state"] for result in ran.results]
    assert states == ["running", "failed", "failed", "failed", "failed", "failed"]


@pytest.mark.parametrize("few_threads", [0], indirect=True)
@pytest.mark.usefixtures("few_threads")  # so that the clock is that of one run at a time
def test_retries_of_50_runs_get_few_lines(verdict: InProcess, sim: Simulator) -> None:
    ids = ["5080", *(str(sim.state.create_run("another").id) for _ in range(49))]
    sim.faults.add(faults.answer(503), times=None)
    ran = verdict(TEST_RUN_ID=" ".join(ids), FAST_VERDICT_TIMEOUT="40")
    assert ran.exit_code == 6
    assert len(sim.calls) > 250
    assert ran.stderr.count("; retrying in ") <= 2 * 50


def test_only_the_worst_10000_vulnerabilities_of_a_run_are_kept_and_all_are_counted() -> None:
    run = TestRun.parse({"vulns": [INFO] * 10_000 + [XSS, 0, XSS, {**INFO, "threat": 19}]}, "token")
    assert [item.threat for item in run.vulnerabilities] == [None, 70, 70, *[20] * 9_997]
    assert run.left_out == {20: 3, 19: 1}
    assert run.vulnerability_count == 10_004


def test_vulnerabilities_that_are_not_kept_are_in_the_verdict(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**FAILED, "vulns": [{"threat": 20}] * 11_000 + [{"threat": 70}] * 12_000})
    ran = verdict("github", FAST_VERDICT_MIN_THREAT="50")
    assert ran.exit_code == 9
    assert "12000 vulnerabilities of threat 50 or more (23000 in all): " in ran.errors[0]
    assert ran.outputs["vulnerability_count"] == "23000"
    assert "\n23000 vulnerabilities, 22500 of which are left out here and in the outputs:\n" in ran.summary


def test_20_large_responses_are_parsed_a_few_at_a_time(verdict: InProcess, sim: Simulator) -> None:
    ids = [5080, *(sim.state.create_run("another").id for _ in range(19))]
    item = f'{{"threat":70,"more":[{",".join(["[]"] * 300)}]}}'
    vulns = ",".join([item] * 150)  # 140 KB, which take 3 MB as objects
    for run_id in ids:
        body = f'{{"id":{run_id},"state":"failed","vulns":[{vulns}]}}'
        sim.faults.add(faults.answer(200, f'{{"status":200,"body":{body}}}'), run=run_id)
    tracemalloc.start()
    try:
        ran = verdict("github", TEST_RUN_ID=" ".join(map(str, ids)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ran.outputs["vulnerability_count"] == str(20 * 150)
    assert peak < 20e6
