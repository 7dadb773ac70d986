"""Every row of docs/failure-modes.md about the verdict step is true: each is run, and each case has a row."""

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.behaviour.test_failure_modes import VERDICT_ROWS
from tests.conftest import SOON, InProcess
from tests.tools.simulator import Exchange, Simulator, faults
from tests.tools.simulator.faults import Fault

STATUSES = {0: "passed", 4: "not_found", 5: "refused", 6: "unreachable", 9: "failed", 10: "interrupted"}
STATUSES |= {11: "unfinished", 12: "not_tested", 143: "interrupted"}
Change = Callable[[Simulator], object]
Case = tuple[
    str, dict[str, str], list[Change]
]  # what the log or the outputs say, the inputs, the changed world
COPY = {"FAST_VERDICT_COPY": "true", "TEST_RECORD_ID": "9058"}


def rules(**wanted: Any) -> Change:  # noqa: ANN401 - the fields of Rules
    return lambda sim: vars(sim.state.rules).update(wanted)


def show(**overrides: object) -> Change:
    return lambda sim: sim.state.find("5080").overrides.update(overrides)


def fault(what: Fault, on: faults.On, times: int | None = 1) -> Change:
    return lambda sim: sim.faults.add(what, on, times)


def kill(exchange: Exchange) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    exchange.wait(None)


def vulns(*threats: int) -> Change:
    return rules(vulns=[{"id": number, "threat": threat} for number, threat in enumerate(threats)])


CASES: dict[str, Case] = {
    "the tests are done and found nothing": ("5080: passed, 5 baselines", {}, []),
    "vulnerabilities of `min_threat` or more": ("1 vulnerability found", {}, [vulns(50)]),
    "only vulnerabilities below `min_threat`": (
        "passed, 4 baselines, 1 vulnerability below min_threat",
        {"FAST_VERDICT_MIN_THREAT": "51"},
        [vulns(50)],
    ),
    "more than 1,000 vulnerabilities": ("1001 vulnerabilities found", {}, [vulns(*[7] * 1001)]),
    "the API calls the run failed and names no vulnerability": ("names no vuln", {}, [show(state="failed")]),
    "the run was aborted, by hand or by another run on the node": (
        "was aborted",
        {},
        [lambda sim: vars(sim.state.find("5080")).update(interrupted=True)],
    ),
    "the tests are not done at the deadline": ("the run goes on", {}, [rules(test_seconds=9999)]),
    "the run is in a state that nobody knows": ("dormant, 5 of 5 baselines", {}, [show(state="dormant")]),
    "the run passed, but nothing was tested": (
        "nothing was tested",
        {},
        [show(baseline_check_passed_count=0, baseline_check_tech_fail_count=5)],
    ),
    "the run passed, and the API says no counts": (
        "::warning::test run 5080: the API did not say how many",
        {},
        [rules(omit_in_get=[f"baseline_check_{kind}_count" for kind in ("passed", "fail")])],
    ),
    "no FAST node is active for a minute": (
        "no FAST node is active",
        {},
        [show(node_active=False), rules(test_seconds=300)],
    ),
    "429 or 5xx while waiting, temporarily": (
        "HTTP 502; retrying",
        {},
        [fault(faults.answer(502), "GET", 9)],
    ),
    "the recorded run is still being tested": ("copied as test run 5081", COPY, [rules(test_seconds=200)]),
    "the copy is turned away (423, 429)": (
        "HTTP 423; retrying",
        COPY,
        [fault(faults.answer(423), "POST", 3)],
    ),
    "the answer to the copy is lost": ("may be running", COPY, [fault(faults.reset_after(), "POST")]),
    "the record is empty or still being recorded": (
        "not_ready_for_cloning",
        COPY | {"TEST_RECORD_ID": "9059"},
        [lambda sim: sim.state.create_run("second")],
    ),
    "there is no such test record": ("knows no such test record", COPY | {"TEST_RECORD_ID": "1"}, []),
    "SIGTERM while waiting": ("interrupted by SIGTERM", {}, [fault(kill, "GET")]),
}


@pytest.mark.parametrize(("row", "action", "code"), VERDICT_ROWS, ids=[row for row, _, _ in VERDICT_ROWS])
def test_the_step_does_what_the_page_says(
    row: str, action: str, code: str, verdict: InProcess, sim: Simulator
) -> None:
    says, env, changes = CASES[row]
    sim.state.clock = verdict.clock.monotonic
    sim.state.rules.test_seconds = 20
    sim.state.find("5080").node = ""  # that of the token, on which a copy would abort it
    sim.state.stop("5080")
    verdict.clock.now += 1
    for change in changes:
        change(sim)
    ran = verdict("github", FAST_VERDICT_TIMEOUT="600", **env)
    assert ran.exit_code == int(code)
    assert re.search(re.escape(says), ran.log)
    assert ran.outputs["status"] == STATUSES[int(code)]
    assert bool(ran.errors) == (code != "0")
    assert "retries" not in action or "retrying in" in ran.log
    assert sum(call == "POST /v1/test_run" for call in sim.calls) <= 1 + 3 * ("turned away" in row)
    interrupted = [run.id for run in sim.state.runs.values() if run.interrupted]
    assert bool(interrupted) == ("was aborted" in row)
    assert ran.seconds < SOON


def test_every_case_has_a_row_on_the_page() -> None:
    assert list(CASES) == [row for row, _, _ in VERDICT_ROWS]
