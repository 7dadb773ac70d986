"""What can end the verdict step, apart from what can end any step.

StepError
 +- VulnerabilitiesError    9
 +- UnfinishedError         11
 +- NotTestedError          12
"""

from wallarm_fast.errors import StepError


class VulnerabilitiesError(StepError):
    """The security tests found vulnerabilities."""

    exit_code = 9
    status = "failed"
    title = "Vulnerabilities found"


class UnfinishedError(StepError):
    """The security tests were not finished in time; they continue."""

    exit_code = 11
    status = "unfinished"
    title = "Tests not finished"


class NotTestedError(StepError):
    """The run has ended, but nothing was really tested."""

    exit_code = 12
    status = "not_tested"
    title = "Nothing tested"
