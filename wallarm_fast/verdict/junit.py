"""The verdict as JUnit XML, in the form that GitLab and other readers take."""

from collections.abc import Collection, Iterator
from xml.etree import ElementTree as ET

from wallarm_fast.text import sanitize_line
from wallarm_fast.verdict.errors import VulnerabilitiesError
from wallarm_fast.verdict.results import VerdictReport, VerdictResult, is_serious

_Case = tuple[str, str, str]  # name, outcome ("" for a pass), message
_COUNTS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def make_junit(report: VerdictReport, secrets: Collection[str]) -> str:
    """Return a document with a suite per test run: a case for the run itself and one per vulnerability."""
    suites = {result.name: [*_cases(report, result)] for result in report.results}
    if report.errors:
        suites["the step"] = [(error.title, "error", str(error)) for error in report.errors]
    root = ET.Element("testsuites", name="Wallarm FAST")
    for name, cases in suites.items():
        counts = {plural: sum(outcome == kind for _, outcome, _ in cases) for kind, plural in _COUNTS.items()}
        attributes = {"name": f"Wallarm FAST {name}", "tests": len(cases), **counts}
        suite = ET.SubElement(root, "testsuite", {key: str(value) for key, value in attributes.items()})
        for case_name, outcome, message in cases:
            # Also leaves no character that XML does not allow.
            shown, text = sanitize_line(case_name, secrets), sanitize_line(message, secrets)
            case = ET.SubElement(suite, "testcase", classname="Wallarm FAST", name=shown)
            if outcome:
                ET.SubElement(case, outcome, message=text).text = text
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _cases(report: VerdictReport, result: VerdictResult) -> Iterator[_Case]:
    """Yield the case of the run itself, and one per vulnerability, for which the run's own does not fail."""
    found = isinstance(result.error, VulnerabilitiesError)
    if result.error and not (found and result.vulnerabilities):
        yield result.name, "failure" if found else "error", str(result.error)
    else:
        yield result.name, "", ""
    for number, item in enumerate(report.listed(result), start=1):
        name = f"{item.type or item.code or 'vulnerability'} ({item.id or number})"
        threat = f"threat {item.threat or 'unknown'}"
        if is_serious(item, report.min_threat):
            yield name, "failure", f"{item.code or item.type or ''} {threat}".strip()
        else:
            yield name, "skipped", f"{threat}, below min_threat ({report.min_threat})"
