"""The reports of a verdict: JUnit XML, summary, outputs, whatever the API calls a vulnerability."""

import json
from xml.etree import ElementTree as ET

import pytest

from tests.harness import TOKEN, InProcess, Ran
from tests.plans import FAILED, INFO, TESTED, XSS, plan
from tests.tools.simulator import Simulator

MIB = 1 << 20


def junit(verdict: InProcess, name: str = "junit.xml") -> ET.Element:
    return ET.parse(verdict.directory / name).getroot()


def report(verdict: InProcess, sim: Simulator, vulns: object, **env: str) -> Ran:
    plan(sim, {**FAILED, "vulns": vulns})
    return verdict("github", FAST_VERDICT_JUNIT_FILE="junit.xml", **env)


def test_junit_has_a_suite_per_run_and_a_case_per_vulnerability(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, TESTED, run=5081)
    report(verdict, sim, [XSS, INFO], FAST_VERDICT_MIN_THREAT="50", TEST_RUN_ID="5081 5080 5082")
    root = junit(verdict)
    kinds = ("tests", "failures", "errors", "skipped")
    counts = [tuple(int(suite.attrib[kind]) for kind in kinds) for suite in root]
    assert counts == [(1, 0, 0, 0), (3, 2, 0, 1), (1, 0, 1, 0)]
    names = ["security tests", "Cross-site scripting (7)", "Information exposure (8)"]
    cases = list(root[1])
    assert [case.attrib["name"] for case in cases] == names
    assert [[child.tag for child in case] for case in cases] == [["failure"], ["failure"], ["skipped"]]
    assert cases[1][0].attrib["message"] == "Cross-site scripting, threat 70"
    assert "test run not found" in root[2][0][0].attrib["message"]


def test_gitlab_gets_all_its_reports_without_any_setting(verdict: InProcess, sim: Simulator) -> None:
    plan(sim, TESTED)
    ran = verdict("gitlab")
    assert ran.exit_code == 0
    assert ran.dotenv == "FAST_VERDICT_STATUS=passed\nVERDICT_TEST_RUN_ID=5080\nVULNERABILITY_COUNT=0\n"
    assert len(junit(verdict, "fast-verdict.junit.xml")) == 1
    files = sorted(path.name for path in verdict.directory.iterdir())
    assert files == ["fast-verdict.env", "fast-verdict.junit.xml"]


def test_a_failed_run_without_vulnerabilities_is_a_failure_in_junit(
    verdict: InProcess, sim: Simulator
) -> None:
    report(verdict, sim, [])
    assert [child.tag for child in junit(verdict)[0][0]] == ["failure"]


def test_an_error_of_the_step_replaces_the_junit_of_an_earlier_job(
    verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, TESTED)
    assert verdict("gitlab").exit_code == 0
    assert verdict("gitlab", TEST_RUN_ID="").exit_code == 2
    (suite,) = junit(verdict, "fast-verdict.junit.xml")
    assert suite.attrib["errors"] == "1"
    assert suite[0].attrib["name"] == "Bad input"


def test_what_is_below_min_threat_is_not_called_nothing(verdict: InProcess, sim: Simulator) -> None:
    ran = report(verdict, sim, [INFO], FAST_VERDICT_MIN_THREAT="21")
    assert ran.exit_code == 0
    assert ran.summary.startswith("### Wallarm FAST: only vulnerabilities below min_threat\n")


HOSTILE = [
    "<script>alert(1)</script>",
    "]]>&amp;\"'",
    "a|b\n\n::error::x\n##[group]",
    "\x1b[31m\x00\x07\ufffe\ud800",
    f"{TOKEN} and {TOKEN[:-1]}%35",
    "x" * 100_000,
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_stays_data_in_every_report(number: int, verdict: InProcess, sim: Simulator) -> None:
    text = HOSTILE[number]
    ran = report(verdict, sim, [{"id": text, "threat": text, "code": text, "type": text}])
    assert ran.exit_code == 9
    cases = list(junit(verdict)[0])
    assert len(cases) == 2
    assert len(ran.errors) == 1
    assert "<script" not in ran.summary
    assert len(ran.summary) < 10_000
    for shown in (ran.log, ran.summary, (verdict.directory / "junit.xml").read_text()):
        assert "\n::error::x" not in shown
        assert "##[" not in shown
        assert TOKEN[:-1] not in shown.replace(f"::add-mask::{TOKEN}", "")
    (found,) = json.loads(ran.outputs["vulnerabilities"])
    assert found["threat"] is None
    assert len(found["type"]) <= 200


@pytest.mark.parametrize(
    ("vulns", "count", "listed", "cases", "words"),
    [
        ({"id": 1}, "1", 1, 1, "1 vulnerability found"),
        ([None, 5, "x", [], {}], "5", 5, 5, "5 vulnerabilities found"),
        ([{"threat": 0}, {"threat": True}], "2", 2, 2, "2 vulnerabilities found"),
        ([{}] * 100_000, "100000", 500, 10_001, "100000 vulnerabilities found"),
    ],
    ids=["object", "mixed", "threats", "many"],
)
def test_vulnerabilities_of_any_shape_are_counted_and_reported_in_bounds(  # noqa: PLR0913, PLR0917 - columns
    vulns: object, count: str, listed: int, cases: int, words: str, verdict: InProcess, sim: Simulator
) -> None:
    ran = report(verdict, sim, vulns)
    assert ran.exit_code == 9
    assert ran.outputs["vulnerability_count"] == count
    assert len(json.loads(ran.outputs["vulnerabilities"])) == listed
    assert len(ran.github_output) < MIB
    assert len(ran.summary) < MIB
    assert words in ran.errors[0]
    run, *found = junit(verdict)[0]
    assert run.attrib["name"] == "security tests"
    assert len(found) == cases


def test_a_failed_run_whose_vulnerabilities_are_null_has_none(verdict: InProcess, sim: Simulator) -> None:
    ran = report(verdict, sim, None)
    assert ran.exit_code == 9
    assert ran.outputs["vulnerability_count"] == "0"
    assert ran.outputs["vulnerabilities"] == "[]"
    assert len(junit(verdict)[0]) == 1


def test_the_summary_lists_the_vulnerabilities_the_worst_first(verdict: InProcess, sim: Simulator) -> None:
    ran = report(verdict, sim, [INFO, XSS])
    assert ran.summary.startswith("### Wallarm FAST: Vulnerabilities found\n")
    rows = [line for line in ran.summary.splitlines() if line.startswith("| 5080 |")]
    assert [row.split(" | ")[1:3] for row in rows[1:]] == [["7", "70"], ["8", "20"]]


def test_a_report_that_cannot_be_written_fails_the_step_and_the_others_are_written(
    verdict: InProcess, sim: Simulator
) -> None:
    plan(sim, TESTED)
    ran = verdict("github", FAST_VERDICT_JUNIT_FILE="/dev/full")
    assert ran.exit_code == 2
    assert "the file '/dev/full' cannot be written" in ran.errors[0]
    assert ran.outputs["status"] == "bad_input"
