"""The job summary, in Markdown."""

import re
from collections.abc import Collection

from wallarm_fast.stop.results import StopReport, StopResult
from wallarm_fast.text import escape_markdown, sanitize_line

# GitHub drops a summary of more than 1 MiB altogether.
SUMMARY_LIMIT = 1_000_000
_TITLES = {"stopped": "recording stopped", "dry_run": "dry run, nothing changed"}


def make_summary(report: StopReport, secrets: Collection[str]) -> str:
    """Return the outcome, a table of the test runs, and how to copy the first one; less than 1 MiB."""
    title = report.failure.title if report.failure else _TITLES[report.status]
    lines = [f"### Wallarm FAST: {title}", ""]
    if report.error:
        lines.append(escape_markdown(sanitize_line(str(report.error), secrets)))
    if report.results:
        lines += ["| Test run | Test record | State | Baselines | Outcome |", "|---|---|---|---:|---|"]
    size = sum(len(line) + 1 for line in lines)
    for number, result in enumerate(report.results):
        row = _row(result, secrets, dry_run=report.dry_run)
        size += len(row) + 1
        if size > SUMMARY_LIMIT:
            lines += ["", f"and {len(report.results) - number} more test runs, see the output `results`"]
            break
        lines.append(row)
    if report.status == "stopped":
        lines += _next_step(report)
    return "\n".join([*lines, "", ""])


def _row(result: StopResult, secrets: Collection[str], *, dry_run: bool) -> str:
    run = escape_markdown(result.test_run_id)
    cells = (
        f"[{run}]({result.url})" if result.url else run,
        escape_markdown(result.test_record_id or ""),
        escape_markdown(result.state or ""),
        "" if result.baseline_count is None else str(result.baseline_count),
        _outcome(result, secrets, dry_run=dry_run),
    )
    return f"| {' | '.join(cells)} |"


def _outcome(result: StopResult, secrets: Collection[str], *, dry_run: bool) -> str:
    if result.error:
        return f"**{result.error.title}**: {escape_markdown(sanitize_line(str(result.error), secrets))}"
    if dry_run:
        return {True: "recording", False: "not recording", None: "found"}[result.recording]
    if result.already_stopped:
        return "already stopped"
    return {True: "recording", False: "recording stopped", None: "stop accepted"}[result.recording]


def _next_step(report: StopReport) -> list[str]:
    """Return the call that copies the (first) test run."""
    record_id = report.results[0].test_record_id or ""
    literal = record_id if re.fullmatch(r"0|[1-9][0-9]*", record_id) else f'"{record_id}"'
    return [
        "",
        "To copy the test run:",
        "",
        "```sh",
        f"curl --fail-with-body {report.base_url}/v1/test_run \\",
        '  --header "X-WallarmAPI-Token: $WALLARM_API_TOKEN" \\',
        f"""  --json '{{"name": "copy", "test_record_id": {literal}}}'""",
        "```",
    ]
