"""What can end the start step, apart from what can end any step.

StepError
 +- NotReadyError   13
"""

from wallarm_fast.errors import StepError


class NotReadyError(StepError):
    """The FAST node was not ready to record before the deadline."""

    exit_code = 13
    status = "not_ready"
    title = "FAST node not ready"
