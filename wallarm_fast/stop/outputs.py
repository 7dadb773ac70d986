"""The outputs of the stop step: names, values, and the variables of the dotenv file."""

import json
from collections.abc import Collection

from wallarm_fast.platforms import Publication
from wallarm_fast.stop.results import StopReport, StopResult
from wallarm_fast.stop.summary import make_summary
from wallarm_fast.text import sanitize_line

# Output: variable in the dotenv file.
DOTENV_NAMES = {
    "test_record_id": "TEST_RECORD_ID",
    "test_record_ids": "TEST_RECORD_IDS",
    "status": "STOP_RECORDING_STATUS",
    "test_run_state": "TEST_RUN_STATE",
    "baseline_count": "BASELINE_COUNT",
}


def make_publication(report: StopReport, secrets: Collection[str]) -> Publication:
    """Return every output. Unknown values are empty; `test_record_ids` has the known ones."""
    first = report.results[0] if report.results else StopResult("")
    record_ids = [result.test_record_id for result in report.results if result.test_record_id]
    outputs = {
        "test_record_id": first.test_record_id or "",
        "test_record_ids": _json(record_ids),
        "status": report.status,
        "test_run_state": first.state or "",
        "baseline_count": "" if first.baseline_count is None else str(first.baseline_count),
        "results": _json([_result(result, secrets, dry_run=report.dry_run) for result in report.results]),
    }
    # A dotenv file of GitLab has no quotes.
    dotenv = {**outputs, "test_record_ids": ",".join(record_ids)}
    return Publication(
        outputs=outputs,
        variables={variable: dotenv[name] for name, variable in DOTENV_NAMES.items()},
        summary=make_summary(report, secrets),
        links={f"Test run {result.test_run_id}": result.url for result in report.results if result.url},
    )


def _result(result: StopResult, secrets: Collection[str], *, dry_run: bool) -> dict[str, object]:
    message = result.message(dry_run=dry_run)
    return {**vars(result), "error": message and sanitize_line(message, secrets)}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
