"""The verdict on a test run that has ended. In doubt, it is no pass."""

from collections.abc import Sequence

from wallarm_fast.api.test_run import Counts, TestRun, Vulnerability
from wallarm_fast.errors import AbortedError
from wallarm_fast.log import RunLogger
from wallarm_fast.text import plural
from wallarm_fast.verdict.errors import NotTestedError, VulnerabilitiesError

_MAX_NAMED = 5


def check_verdict(run: TestRun, min_threat: int, log: RunLogger) -> None:
    """Raise the error that the end of the run stands for, if it is not a clean one; log what is doubtful."""
    if run.state == "interrupted":
        raise AbortedError.of("the run was aborted")
    failing = [item for item in run.vulnerabilities if fails_step(item, min_threat)]
    if failing:
        raise VulnerabilitiesError(_list_vulnerabilities(failing, len(run.vulnerabilities), min_threat))
    if not run.vulnerabilities and (run.state == "failed" or run.counts.failed_count):
        raise VulnerabilitiesError("the security tests failed, but the API returned no vulnerabilities").hint(
            "look at the test run in the portal"
        )
    counts = run.counts
    if _nothing_tested(counts):
        raise NotTestedError(
            f"the run has ended, but nothing was tested ({plural(counts.baseline_count or 0, 'baseline')}, "
            f"{counts.failed_technically_count or 0} failed technically)"
        ).hint("check that the record is not empty and that the FAST node reaches the application")
    if counts.passed_count is None:
        log.warning("the API did not return how many baselines were tested")
    elif untested := describe_untested(counts):
        log.warning("%s", untested)


def fails_step(vulnerability: Vulnerability, min_threat: int) -> bool:
    """Tell whether the vulnerability fails the step; one of unknown threat does."""
    return vulnerability.threat is None or vulnerability.threat >= min_threat


def describe_untested(counts: Counts) -> str:
    """Return how many baselines were tested, unless that is all of them and none failed technically."""
    tested = (counts.passed_count or 0) + (counts.failed_count or 0)
    technically = counts.failed_technically_count or 0
    if not technically and tested >= (counts.baseline_count or 0):
        return ""
    baselines = "?" if counts.baseline_count is None else counts.baseline_count
    return f"tested {tested} of {baselines} baselines, {technically} failed technically"


def _nothing_tested(counts: Counts) -> bool:
    passed, failed = counts.passed_count, counts.failed_count
    baselines, technically = counts.baseline_count, counts.failed_technically_count or 0
    if baselines == 0 or (baselines and technically >= baselines):
        return True
    if failed:
        return False
    # Where it is unknown what passed, nothing is only certain if something went wrong.
    return passed == 0 or (passed is None and failed is None and technically > 0)


def _list_vulnerabilities(failing: Sequence[Vulnerability], count: int, min_threat: int) -> str:
    """Say which vulnerabilities were found."""
    names = [
        f"{item.type or item.code or 'unknown'} (threat {item.threat or 'unknown'})"
        for item in failing[:_MAX_NAMED]
    ]
    more = ["..."] if len(failing) > _MAX_NAMED else []
    found = plural(len(failing), "vulnerability")
    found += " found" if len(failing) == count else f" of threat {min_threat} or more ({count} in all)"
    return f"{found}: {', '.join([*names, *more])}"
