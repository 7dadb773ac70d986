"""The job summary, in Markdown."""

import json
from collections.abc import Collection

from wallarm_fast.stop.results import StopReport, StopResult
from wallarm_fast.summary import SUMMARY_LIMIT, heading, run_cell
from wallarm_fast.text import escape_markdown, id_literal, sanitize_line

_TITLES = {"stopped": "recording stopped", "dry_run": "dry run, nothing changed"}


def make_summary(report: StopReport, secrets: Collection[str]) -> str:
    """Return the outcome, a table of the test runs, and how to copy the first one; less than 1 MiB."""
    title = report.failure.title if report.failure else _TITLES[report.status]
    if report.failure and len(report.results) > 1 and not report.dry_run:
        off = sum(result.recording is False or not result.error for result in report.results)
        title += f", {off} of {len(report.results)} stopped"
    lines = [*heading(title, report.errors, secrets)]
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
    if report.status == "stopped" and report.results[0].baseline_count != 0:
        lines += _next_step(report)
    return "\n".join([*lines, "", ""])


def _row(result: StopResult, secrets: Collection[str], *, dry_run: bool) -> str:
    cells = (
        run_cell(result.test_run_id, result.url),
        escape_markdown(result.test_record_id or ""),
        escape_markdown(result.state or ""),
        "" if result.baseline_count is None else str(result.baseline_count),
        _outcome(result, secrets, dry_run=dry_run),
    )
    return f"| {' | '.join(cells)} |"


def _outcome(result: StopResult, secrets: Collection[str], *, dry_run: bool) -> str:
    if result.error:
        message = sanitize_line(result.message(dry_run=dry_run) or "", secrets)
        return f"**{result.error.title}**: {escape_markdown(message)}"
    if dry_run:
        return {True: "recording", False: "not recording", None: "found"}[result.recording]
    if result.already_stopped:
        outcome = "already stopped"
    else:
        outcome = {True: "recording", False: "recording stopped", None: "stop accepted"}[result.recording]
    return f"{outcome}, but the record is empty" if result.baseline_count == 0 else outcome


def _next_step(report: StopReport) -> list[str]:
    """Return the call that copies the (first) test run."""
    record_id = report.results[0].test_record_id or ""
    fields = json.dumps({"name": "copy", "test_record_id": id_literal(record_id)})
    return [
        "",
        "To copy the test run, once its security tests have ended (a copy aborts them):",
        "",
        "```sh",
        f"curl --fail-with-body {report.base_url}/v1/test_run \\",
        '  --header "X-WallarmAPI-Token: $WALLARM_API_TOKEN" --header "Content-Type: application/json" \\',
        f"  --data '{fields}'",
        "```",
    ]
