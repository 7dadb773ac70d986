"""The outputs of the verdict step: names, values, and the variables of the dotenv file."""

import json
from collections.abc import Collection, Sequence

from wallarm_fast.api.progress import Vulnerability
from wallarm_fast.platforms import Publication
from wallarm_fast.text import sanitize_line
from wallarm_fast.verdict.results import VerdictReport, VerdictResult
from wallarm_fast.verdict.summary import make_summary

# Output: variable in the dotenv file.
DOTENV_NAMES = {
    "status": "FAST_VERDICT_STATUS",
    "test_run_id": "VERDICT_TEST_RUN_ID",
    "vulnerability_count": "VULNERABILITY_COUNT",
}


def make_publication(report: VerdictReport, secrets: Collection[str]) -> Publication:
    """Return every output; unknown values are empty."""
    results = report.results
    found = [[_vulnerability(item, secrets) for item in report.listed(result)] for result in results]
    outputs = {
        "status": report.status,
        "test_run_id": results[0].test_run_id if results else "",
        "vulnerability_count": _count(results),
        "vulnerabilities": _json(
            [
                {**item, "test_run_id": result.test_run_id}
                for result, items in zip(results, found, strict=True)
                for item in items
            ]
        ),
        "results": _json(
            [_result(result, items, secrets) for result, items in zip(results, found, strict=True)]
        ),
    }
    return Publication(
        outputs=outputs,
        variables={variable: outputs[name] for name, variable in DOTENV_NAMES.items()},
        summary=make_summary(report, secrets),
        links={f"Test run {result.test_run_id}": result.url for result in results if result.url},
        files=_files(report, secrets),
    )


def _files(report: VerdictReport, secrets: Collection[str]) -> dict[str, str]:
    if not report.junit_file:
        return {}
    from wallarm_fast.verdict.junit import make_junit  # noqa: PLC0415 - the XML library takes time to load

    return {report.junit_file: make_junit(report, secrets)}


def _result(result: VerdictResult, found: object, secrets: Collection[str]) -> dict[str, object]:
    error = result.error and sanitize_line(str(result.error), secrets)
    return {**vars(result), "vulnerabilities": found, "error": error}


def _count(results: Sequence[VerdictResult]) -> str:
    """Return the number of vulnerabilities found; as long as a run was not seen, none is not a finding."""
    count = sum(len(result.vulnerabilities) for result in results)
    return str(count) if count or (results and all(result.state for result in results)) else ""


def _vulnerability(found: Vulnerability, secrets: Collection[str]) -> dict[str, object]:
    return {
        name: sanitize_line(value, secrets) if isinstance(value, str) else value
        for name, value in vars(found).items()
    }


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
