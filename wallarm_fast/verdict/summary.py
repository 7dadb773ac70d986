"""The job summary, in Markdown."""

from collections.abc import Collection, Iterator

from wallarm_fast.summary import SUMMARY_LIMIT, heading, run_cell
from wallarm_fast.text import escape_markdown, plural, sanitize_line
from wallarm_fast.verdict.results import VerdictReport


def make_summary(report: VerdictReport, secrets: Collection[str]) -> str:
    """Return the verdict, a table of the test runs, and one of the vulnerabilities; less than 1 MiB."""
    found = any(result.vulnerabilities for result in report.results)
    passed = "only vulnerabilities below min_threat" if found else "no vulnerabilities found"
    title = report.failure.title if report.failure else passed
    size, lines = 0, list[str]()
    for line in _lines(report, title, secrets):
        size += len(line) + 1
        if size > SUMMARY_LIMIT:
            lines += ["", "and more, see the outputs"]
            break
        lines.append(line)
    return "\n".join([*lines, "", ""])


def _lines(report: VerdictReport, title: str, secrets: Collection[str]) -> Iterator[str]:
    def text(value: object) -> str:
        return "" if value is None else escape_markdown(sanitize_line(str(value), secrets))

    yield from heading(title, report.errors, secrets)
    if report.results:
        yield "| Test run | Test record | Baselines | Passed | Failed | Not tested | Outcome |"
        yield "|---|---|---:|---:|---:|---:|---|"
    for result in report.results:
        counts = (
            result.baseline_count,
            result.passed_count,
            result.failed_count,
            result.failed_technically_count,
        )
        outcome = text(result.describe())
        cells = (run_cell(result.test_run_id, result.url), *map(text, (result.test_record_id, *counts)))
        label = f"**{result.error.title}**: " if result.error else ""
        yield f"| {' | '.join(cells)} | {label}{outcome} |"
    found = [(result, item) for result in report.results for item in report.listed(result)]
    if found:
        count = sum(len(result.vulnerabilities) for result in report.results)
        yield from ("", f"{plural(count, 'vulnerability')}:", "")
        yield from ("| Test run | ID | Threat | Type | Code |", "|---|---|---:|---|---|")
    for result, item in found:
        cells = (
            run_cell(result.test_run_id, result.url),
            *map(text, (item.id, item.threat, item.type, item.code)),
        )
        yield f"| {' | '.join(cells)} |"
