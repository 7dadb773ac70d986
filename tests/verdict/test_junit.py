"""The verdict as JUnit XML: names that stay from pipeline to pipeline, times, and what readers make of it."""

import sys
from types import FrameType
from xml.etree import ElementTree as ET

import junitparser
import pytest

from tests.harness import InProcess
from tests.plans import FAILED, GOING, INFO, TESTED, XSS, plan
from tests.tools.simulator import Simulator
from tests.tools.simulator.state import View
from wallarm_fast.api.test_run import TestRun, Vulnerability
from wallarm_fast.verdict.errors import VulnerabilitiesError
from wallarm_fast.verdict.report import VerdictReport, VerdictResult

FILE = "junit.xml"
TIMES: View = {"start_time": 1531316470, "end_time": 1531316532.5}


def run(verdict: InProcess, **env: str) -> ET.Element:
    """Run the step and return what is in the file."""
    verdict("github", FAST_VERDICT_JUNIT_FILE=FILE, **env)
    return ET.parse(verdict.directory / FILE).getroot()


def names(root: ET.Element) -> list[tuple[str, list[str]]]:
    """Return the name of each suite, with those of its cases."""
    return [(suite.attrib["name"], [case.attrib["name"] for case in suite]) for suite in root]


def test_the_names_of_a_single_run_have_no_id_of_it(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**FAILED, "vulns": [XSS, INFO]})
    root = run(verdict)
    cases = ["security tests", "Cross-site scripting (7)", "Information exposure (8)"]
    assert names(root) == [("Wallarm FAST", cases)]
    assert {case.attrib["classname"] for case in root[0]} == {"Wallarm FAST"}


def test_the_names_of_several_runs_are_those_of_their_records(verdict: InProcess, sim: Simulator) -> None:
    sim.state.create_run("second")
    plan(sim, TESTED)
    plan(sim, {**TESTED, "test_record_id": 9059}, run=5081)
    root = run(verdict, TEST_RUN_ID="5080 5081 unknown")
    assert names(root) == [
        ("Wallarm FAST.test record 9058", ["security tests"]),
        ("Wallarm FAST.test record 9059", ["security tests"]),
        ("Wallarm FAST.test run unknown", ["security tests"]),
    ]
    classes = [suite[0].attrib["classname"] for suite in root]
    assert classes == [suite.attrib["name"] for suite in root]


def test_copies_have_the_names_of_their_records(verdict: InProcess, sim: Simulator) -> None:
    sim.state.create_run("second")
    for run_id in ("5080", "5081"):
        sim.state.stop(run_id)
    plan(sim, TESTED, run=5082)
    plan(sim, {**TESTED, "test_record_id": 9059}, run=5083)
    root = run(verdict, TEST_RUN_ID="", FAST_VERDICT_COPY="true", TEST_RECORD_ID="9058 9059")
    assert [suite.attrib["name"] for suite in root] == [
        "Wallarm FAST.test record 9058",
        "Wallarm FAST.test record 9059",
    ]


def test_runs_of_one_record_are_told_apart(verdict: InProcess, sim: Simulator) -> None:
    for run_id in (5080, 5081, 5082):
        plan(sim, TESTED, run=run_id)
    root = run(verdict, TEST_RUN_ID="5080 5081 5082")
    assert [suite.attrib["name"] for suite in root] == [
        "Wallarm FAST.test record 9058",
        "Wallarm FAST.test record 9058.2",
        "Wallarm FAST.test record 9058.3",
    ]


def test_vulnerabilities_without_an_id_are_numbered_within_their_type(
    verdict: InProcess, sim: Simulator
) -> None:
    vulns = [{"type": "XSS"}, {"type": "SQLi"}, {"type": "XSS"}, {"code": "xxe"}, {}]
    plan(sim, {**FAILED, "vulns": vulns})
    ((_, cases),) = names(run(verdict))
    assert cases == ["security tests", "XSS (1)", "SQLi (1)", "XSS (2)", "xxe (1)", "vulnerability (1)"]


def test_vulnerabilities_of_the_same_name_are_told_apart(verdict: InProcess, sim: Simulator) -> None:
    vulns = [XSS, XSS, {**XSS, "type": "Cross-site\nscripting"}, {"type": "security tests"}]
    plan(sim, {**FAILED, "vulns": vulns})
    ((_, cases),) = names(run(verdict))
    assert cases == [
        "security tests",
        "security tests (1)",
        "Cross-site scripting (7)",
        "Cross-site scripting (7) 2",
        "Cross-site scripting (7) 3",
    ]


def calls_for(results: list[VerdictResult]) -> int:
    """Return how many calls it takes to make the file of these results."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    report, before = VerdictReport(results=results), sys.getprofile()
    sys.setprofile(count)
    try:
        report.files(())["junit_file"]()
    finally:
        sys.setprofile(before)
    return calls


def test_the_work_grows_with_the_number_of_equal_vulnerabilities_and_not_with_its_square() -> None:
    few, many = (
        calls_for([VerdictResult(test_run_id="5080", latest=TestRun(vulnerabilities=found))])
        for found in ((Vulnerability("7", 70, "xss", "XSS"),) * number for number in (100, 400))
    )
    assert many < 5 * few


def test_the_work_grows_with_the_number_of_runs_of_a_record_and_not_with_its_square() -> None:
    few, many = (
        calls_for([VerdictResult(test_run_id=str(run), test_record_id="9058") for run in range(number)])
        for number in (100, 400)
    )
    assert many < 5 * few


def test_a_failure_says_what_was_found_and_where(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**FAILED, "vulns": [XSS]})
    failure = run(verdict)[0][1][0]
    assert failure.tag == "failure"
    assert failure.attrib == {"message": "Cross-site scripting, threat 70"}
    assert (failure.text or "").splitlines() == [
        "type: Cross-site scripting",
        "code: xss",
        "threat: 70",
        "test run: 5080",
        "test record: 9058",
    ]


def test_a_failure_links_to_the_portal() -> None:
    url = "https://us1.my.wallarm.com/testing/testruns/5080"
    found = Vulnerability("7", 70, "xss", "XSS")
    result = VerdictResult(test_run_id="5080", latest=TestRun(vulnerabilities=(found,)), url=url)
    text = VerdictReport(results=[result]).files(())["junit_file"]()
    assert (ET.fromstring(text)[0][1][0].text or "").splitlines()[-1] == f"link: {url}"


def test_a_run_fails_together_with_its_vulnerabilities(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**FAILED, "vulns": [XSS]})
    (failure,) = run(verdict)[0][0]
    assert failure.tag == "failure"
    assert failure.attrib["message"] == "1 vulnerability found: Cross-site scripting (threat 70)"


def test_vulnerabilities_below_min_threat_are_skipped(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, {**FAILED, "vulns": [INFO]})
    security_tests, found = run(verdict, FAST_VERDICT_MIN_THREAT="21")[0]
    assert list(security_tests) == []
    assert found[0].tag == "skipped"
    assert found[0].attrib == {"message": "threat 20, below min_threat (21)"}


def test_a_suite_takes_as_long_as_the_tests(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, GOING, {**FAILED, **TIMES, "vulns": [XSS]})
    root = run(verdict)
    assert [element.attrib["time"] for element in root.iter() if element.tag != "failure"] == [
        "62.500",  # of the file
        "62.500",  # of the suite
        "62.500",  # of the security tests
        "0.000",  # of the vulnerability
    ]


def test_a_suite_takes_as_long_as_the_wait_where_the_api_does_not_tell(
    verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, GOING, {**TESTED, "start_time": 20, "end_time": 10})
    assert run(verdict)[0].attrib["time"] == "15.000"


def test_the_wait_for_a_run_ends_with_the_run(verdict: InProcess, sim: Simulator) -> None:
    sim.state.create_run("second")
    for run_id in ("5080", "5081"):
        sim.state.stop(run_id)
    plan(sim, TESTED, run=5082)
    plan(sim, GOING, {**TESTED, "test_record_id": 9059}, run=5083)
    root = run(verdict, TEST_RUN_ID="", FAST_VERDICT_COPY="true", TEST_RECORD_ID="9058 9059")
    assert [suite.attrib["time"] for suite in root] == ["0.000", "15.000"]


def test_all_vulnerabilities_that_fail_the_step_are_in_the_file(verdict: InProcess, sim: Simulator) -> None:
    vulns = [{"id": number, "threat": 70} for number in range(400)]
    for run_id in (5080, 5081, 5082):
        plan(sim, {**FAILED, "vulns": vulns}, run=run_id)
    root = run(verdict, TEST_RUN_ID="5080 5081 5082")
    assert [suite.attrib["failures"] for suite in root] == ["401", "401", "401"]


@pytest.mark.parametrize(("min_threat", "kind"), [(20, "failure"), (21, "skipped")])
def test_a_case_stands_for_the_vulnerabilities_that_are_left_out(min_threat: int, kind: str) -> None:
    vulns = [XSS, *[INFO] * 10_004]
    result = VerdictResult(
        test_run_id="5080", latest=TestRun.parse({"vulns": vulns}, "token"), min_threat=min_threat
    )
    root = ET.fromstring(VerdictReport(results=[result]).files(())["junit_file"]())
    *listed, last = root[0]
    assert len(listed) == 10_001
    assert last.attrib["name"] == "more vulnerabilities"
    assert [(outcome.tag, outcome.attrib["message"]) for outcome in last] == [
        (kind, "5 more vulnerabilities, not listed here")
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [(0, [("0", "9901"), ("100", "0"), ("0", "0")]), (9950, [("0", "1"), ("100", "0"), ("9950", "0")])],
)
def test_vulnerabilities_that_fail_the_step_are_never_left_out(
    more: int, expected: list[tuple[str, str]]
) -> None:
    results = [
        VerdictResult(test_run_id="5080", latest=TestRun.parse({"vulns": vulns}, "token"), min_threat=50)
        for vulns in ([INFO] * 10_000, [XSS] * 100, [XSS] * more)
    ]
    root = ET.fromstring(VerdictReport(results=results).files(())["junit_file"]())
    counts = [(suite.attrib["failures"], suite.attrib["skipped"]) for suite in root]
    assert counts == expected


def test_a_file_of_more_than_500_runs_is_not_all_green() -> None:
    found = TestRun(vulnerabilities=(Vulnerability("7", 70, "xss", "XSS"),))
    results = [
        VerdictResult(test_run_id=str(number), latest=found, error=VulnerabilitiesError("1 vulnerability"))
        for number in range(600)
    ]
    root = ET.fromstring(VerdictReport(results=results).files(())["junit_file"]())
    assert {suite.attrib["failures"] for suite in root} == {"2"}


def test_a_reader_that_others_wrote_understands_the_file(verdict: InProcess, sim: Simulator) -> None:
    sim.state.create_run("second")
    plan(sim, {**FAILED, **TIMES, "vulns": [XSS, INFO]})
    plan(sim, {"state": "interrupted", "test_record_id": 9059}, run=5081)
    run(verdict, TEST_RUN_ID="5080 5081", FAST_VERDICT_MIN_THREAT="50")
    parsed = junitparser.JUnitXml.fromfile(str(verdict.directory / FILE))
    assert (parsed.tests, parsed.failures, parsed.errors, parsed.skipped) == (4, 2, 1, 1)
    assert parsed.time == 62.5
    found, aborted = parsed
    assert found.name == "Wallarm FAST.test record 9058"
    assert found.time == 62.5
    cases = [(case.classname, case.name, case.time) for case in found]
    assert cases == [
        ("Wallarm FAST.test record 9058", "security tests", 62.5),
        ("Wallarm FAST.test record 9058", "Cross-site scripting (7)", 0.0),
        ("Wallarm FAST.test record 9058", "Information exposure (8)", 0.0),
    ]
    assert [type(result) for case in found for result in case.result] == [
        junitparser.Failure,
        junitparser.Failure,
        junitparser.Skipped,
    ]
    ((error,),) = [case.result for case in aborted]
    assert isinstance(error, junitparser.Error)
    assert "the run was aborted" in error.message
