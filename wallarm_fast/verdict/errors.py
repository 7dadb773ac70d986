"""What can end the verdict step, apart from what can end any step.

StepError
 +- VulnerabilitiesError    9
 +- InterruptedRunError     10
 +- UnfinishedError         11
 +- NotTestedError          12
 +- RecordNotFoundError     4
"""

from wallarm_fast.errors import StepError


class VulnerabilitiesError(StepError):
    """The security tests found vulnerabilities."""

    exit_code = 9
    status = "failed"
    title = "Vulnerabilities found"


class InterruptedRunError(StepError):
    """The run was aborted, by hand or by another run on the node."""

    exit_code = 10
    status = "interrupted"
    title = "Test run aborted"


class UnfinishedError(StepError):
    """The security tests were not done in time; they go on."""

    exit_code = 11
    status = "unfinished"
    title = "Tests not finished"


class NotTestedError(StepError):
    """The run has ended, but nothing was really tested."""

    exit_code = 12
    status = "not_tested"
    title = "Nothing tested"


class RecordNotFoundError(StepError):
    """The API knows no such test record."""

    exit_code = 4
    status = "not_found"
    title = "No such test record"
