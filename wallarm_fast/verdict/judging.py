"""The verdict on a test run that has ended. In doubt, it is no pass."""

from wallarm_fast.api.test_run import Counts, TestRun
from wallarm_fast.errors import AbortedError, UnusableResponseError
from wallarm_fast.log import RunLogger
from wallarm_fast.text import plural
from wallarm_fast.verdict.errors import NotTestedError, VulnerabilitiesError

_MAX_NAMED = 5


def check_verdict(run: TestRun, min_threat: int, log: RunLogger) -> None:
    """Raise the error that the end of the run stands for, if it is not a clean one; log what is doubtful."""
    if run.state == "interrupted":
        raise AbortedError.of("the run was aborted")
    if failing := count_failing(run, min_threat):
        raise VulnerabilitiesError(_describe_failing(run, failing, min_threat))
    if not run.vulnerabilities and (run.state == "failed" or run.counts.failed_count):
        raise VulnerabilitiesError("the security tests failed, but the API returned no vulnerabilities").hint(
            "look at the test run in the portal"
        )
    if run.unusable_counts:
        raise UnusableResponseError(
            f"not a whole number in the response: {', '.join(run.unusable_counts)}"
        ).hint("look at the test run in the portal")
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


def fails_step(threat: int | None, min_threat: int) -> bool:
    """Tell whether a vulnerability of this threat fails the step; one of unknown threat does."""
    return threat is None or threat >= min_threat


def count_failing(run: TestRun, min_threat: int) -> int:
    """Return the number of vulnerabilities that fail the step."""
    left_out = sum(number for threat, number in run.left_out.items() if fails_step(threat, min_threat))
    return left_out + sum(fails_step(item.threat, min_threat) for item in run.vulnerabilities)


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


def _describe_failing(run: TestRun, failing: int, min_threat: int) -> str:
    """Say which vulnerabilities fail the step: they come first."""
    count = run.vulnerability_count
    names = [
        f"{item.type or item.code or 'unknown'} (threat {item.threat or 'unknown'})"
        for item in run.vulnerabilities[: min(failing, _MAX_NAMED)]
    ]
    more = ["..."] if failing > _MAX_NAMED else []
    found = plural(failing, "vulnerability")
    found += " found" if failing == count else f" of threat {min_threat} or more ({count} in all)"
    return f"{found}: {', '.join([*names, *more])}"
