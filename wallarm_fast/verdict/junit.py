"""The verdict as JUnit XML, in the form that GitLab, Jenkins and other readers take.

Readers compare runs by names, so names do not change from pipeline to pipeline.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from wallarm_fast.api.test_run import Vulnerability
from wallarm_fast.text import plural, sanitize_line
from wallarm_fast.verdict.errors import VulnerabilitiesError
from wallarm_fast.verdict.judging import fails_step
from wallarm_fast.verdict.report import VerdictReport, VerdictResult

_NAME = "Wallarm FAST"
_KINDS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


@dataclass(frozen=True)
class _Case:
    """A test case: its outcome in a line and in detail, and the seconds it took."""

    name: str
    kind: Literal["", "failure", "error", "skipped"] = ""
    message: str = ""
    details: Sequence[str] = ()
    seconds: float = 0.0


class _Names:
    """Names that are each given out once: one that is taken gets a number, from 2 on, in this form."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._taken: set[str] = set()
        # The last number of each name: to try all of them again would take the square of the time.
        self._numbers: defaultdict[str, int] = defaultdict(lambda: 1)

    def take(self, name: str) -> str:
        """Return the name, or else the first one with a number that is not taken."""
        free = name
        while free in self._taken:
            self._numbers[name] += 1
            free = name + self._form.format(self._numbers[name])
        self._taken.add(free)
        return free


def make_junit(
    report: VerdictReport, listed: Sequence[Sequence[Vulnerability]], secrets: Collection[str]
) -> str:
    """Return a suite per test run: a case for the run itself, and one per listed vulnerability."""
    suites: dict[str, list[_Case]] = {}
    names = _Names(".{}")
    for result, found in zip(report.results, listed, strict=True):
        suites[names.take(_suite_name(report, result))] = [*_cases(result, found)]
    if report.errors:
        cases = suites.setdefault(_NAME, [])
        cases += [_Case(error.title, "error", str(error), [str(error)]) for error in report.errors]
    root = ET.Element("testsuites", name=_NAME)
    for name, cases in suites.items():
        _add_suite(root, name, cases, secrets)
    root.set("time", _time(sum(case.seconds for cases in suites.values() for case in cases)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _add_suite(root: ET.Element, name: str, cases: Sequence[_Case], secrets: Collection[str]) -> None:
    kinds = Counter[str](case.kind for case in cases)
    counts = {"tests": len(cases), **{attribute: kinds[kind] for kind, attribute in _KINDS.items()}}
    attributes = {"name": name, **{key: str(count) for key, count in counts.items()}}
    suite = ET.SubElement(
        root, "testsuite", {**attributes, "time": _time(sum(case.seconds for case in cases))}
    )
    names = _Names(" {}")
    for case in cases:
        shown = names.take(sanitize_line(case.name, secrets))  # without characters that XML does not allow
        element = ET.SubElement(suite, "testcase", classname=name, name=shown, time=_time(case.seconds))
        if case.kind:
            outcome = ET.SubElement(element, case.kind, message=sanitize_line(case.message, secrets))
            outcome.text = "\n".join(sanitize_line(line, secrets) for line in case.details) or None


def _suite_name(report: VerdictReport, result: VerdictResult) -> str:
    """Return the name of the suite: with several runs that of the record, which copies share."""
    if len(report.results) == 1:
        return _NAME
    if result.test_record_id:
        return f"{_NAME}.test record {result.test_record_id}"
    return f"{_NAME}.test run {result.test_run_id}"


def _cases(result: VerdictResult, listed: Sequence[Vulnerability]) -> Iterator[_Case]:
    kind: Literal["", "failure", "error", "skipped"] = ""
    if result.error:
        kind = "failure" if isinstance(result.error, VulnerabilitiesError) else "error"
    message = result.error_text or ""
    details = [message, *_where(result)] if message else []
    yield _Case("security tests", kind, message, details, result.seconds)
    numbers = Counter[str]()
    for item in listed:
        name = item.type or item.code or "vulnerability"
        numbers[name] += not item.id
        case_name = f"{name} ({item.id or numbers[name]})"
        threat = f"threat {item.threat or 'unknown'}"
        if fails_step(item.threat, result.min_threat):
            details = [f"type: {item.type or 'unknown'}", f"code: {item.code or 'unknown'}"]
            details += [f"threat: {item.threat or 'unknown'}", *_where(result)]
            yield _Case(case_name, "failure", f"{name}, {threat}", details)
        else:
            yield _Case(case_name, "skipped", f"{threat}, below min_threat ({result.min_threat})")
    if left_out := result.latest.vulnerability_count - len(listed):
        message = f"{plural(left_out, 'more vulnerability')}, not listed here"
        kind = "failure" if result.failing_count > len(listed) else "skipped"
        yield _Case("more vulnerabilities", kind, message, [message, *_where(result)])


def _where(result: VerdictResult) -> list[str]:
    """Return what is known of the place, a line each."""
    known = {"test run": result.test_run_id, "test record": result.test_record_id, "link": result.url}
    return [f"{name}: {value}" for name, value in known.items() if value]


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"
