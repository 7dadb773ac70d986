"""The verdict as JUnit XML, in the form that GitLab and other readers take."""

from collections.abc import Collection

from wallarm_fast.text import sanitize_line
from wallarm_fast.verdict.errors import VulnerabilitiesError
from wallarm_fast.verdict.results import VerdictReport, VerdictResult, is_serious


def make_junit(report: VerdictReport, secrets: Collection[str]) -> str:
    """Return a document with a suite per test run: a case for the run itself and one per vulnerability."""
    # Imported as needed: without a file to write, the step starts faster.
    from xml.etree import ElementTree as ET  # noqa: PLC0415

    def text(value: object) -> str:
        # Also leaves no character that XML does not allow.
        return sanitize_line(str(value), secrets)

    def case(suite: "ET.Element", name: str, outcome: str = "", message: str = "") -> None:
        element = ET.SubElement(suite, "testcase", classname="Wallarm FAST", name=text(name))
        if outcome:
            ET.SubElement(element, outcome, message=text(message)).text = text(message)

    root = ET.Element("testsuites", name="Wallarm FAST")
    for result in report.results:
        suite = ET.SubElement(root, "testsuite", name=f"Wallarm FAST {result.name}")
        case(suite, result.name, *_error_of(result))
        for number, found in enumerate(report.listed(result), start=1):
            name = f"{found.type or found.code or 'vulnerability'} ({found.id or number})"
            threat = f"threat {found.threat or 'unknown'}"
            if is_serious(found, report.min_threat):
                case(suite, name, "failure", f"{found.code or found.type or ''} {threat}".strip())
            else:
                case(suite, name, "skipped", f"{threat}, below min_threat ({report.min_threat})")
        suite.set("tests", str(len(suite)))
        for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(attribute, str(len(suite.findall(f"testcase/{kind}"))))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _error_of(result: VerdictResult) -> tuple[str, str]:
    """Return what the case of the run itself has; the vulnerabilities have cases of their own."""
    found = isinstance(result.error, VulnerabilitiesError)
    if result.error is None or (found and result.vulnerabilities):
        return "", ""
    return "failure" if found else "error", str(result.error)
