"""What can end the stop step, apart from what can end any step.

StepError
 +- NotConfirmedError       7
 +- TooFewBaselinesError    8
"""

from wallarm_fast.errors import StepError


class NotConfirmedError(StepError):
    """The stop was accepted, but not confirmed in time: still recording, or no test record."""

    exit_code = 7
    status = "not_confirmed"
    title = "Stop not confirmed"


class TooFewBaselinesError(StepError):
    """Recording is stopped, but the record has fewer baselines than `min_baselines`."""

    exit_code = 8
    status = "too_few_baselines"
    title = "Too few baselines"
