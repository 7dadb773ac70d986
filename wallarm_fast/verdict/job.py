"""What is done at the same time for several test runs, and what one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wallarm_fast.api.retry import TransientError, retry
from wallarm_fast.errors import RefusedError, SignalError, StepError, UnreachableError
from wallarm_fast.verdict.errors import (
    InterruptedRunError,
    NotTestedError,
    UnfinishedError,
    VulnerabilitiesError,
)
from wallarm_fast.verdict.run import TestedRun, check_verdict, wait_until_ended


@dataclass(frozen=True)
class WaitJob:
    """Waits for one test run."""

    tested: TestedRun
    min_threat: int

    def run(self) -> None:
        """Wait for the end; raises the StepError that it amounts to."""
        wait_until_ended(self.tested)
        check_verdict(self.tested, self.min_threat)

    def abort(self, error: StepError) -> None:
        """Take note of the error."""
        self.tested.error = error


class CopyJob:
    """Makes the copies and waits for each, one after the other: a FAST node has one run at a time.

    `before` are runs that a copy would abort, so they must have ended. `fields` are those of the API's call,
    a set for each copy.
    """

    def __init__(
        self,
        copies: Sequence[TestedRun],
        fields: Sequence[Mapping[str, object]],
        before: Sequence[TestedRun],
        min_threat: int,
    ) -> None:
        self._copies = list(copies)
        self._fields = fields
        self._before = before
        self._min_threat = min_threat

    def run(self) -> None:
        """Do everything; raises the StepError that keeps the remaining copies from being made."""
        for run in self._before:
            run.log.info("waiting for its end, since a copy would abort it")
            try:
                wait_until_ended(run)
            except StepError as error:
                raise type(error)(
                    f"not copied, since test run {run.test_run_id} is not known to have ended: {error}"
                ) from None
        for fields in self._fields:
            tested = self._copies[0]
            try:
                copy(tested, fields)
                wait_until_ended(tested)
                check_verdict(tested, self._min_threat)
            except (VulnerabilitiesError, InterruptedRunError, NotTestedError) as error:
                tested.error = error
            self._copies.pop(0)

    def abort(self, error: StepError) -> None:
        """Take note of what kept the remaining copies from being made or waited for."""
        for number, tested in enumerate(list(self._copies)):
            if number and not isinstance(error, SignalError):
                error = UnfinishedError("not copied, since the run before it is not known to have ended")
            tested.error = error


def copy(tested: TestedRun, fields: Mapping[str, object]) -> None:
    """Copy the run. A call that may have acted is not repeated: a second copy would abort the first."""

    def attempt() -> str:
        try:
            return tested.client.copy_test_run(fields)
        except TransientError as failure:
            if not failure.may_have_acted:
                raise
            raise UnreachableError(
                f"{failure}; a copy may be running all the same, look in the portal before you try again"
            ) from None

    try:
        test_run_id = retry(attempt, tested.deadline, tested.log)
    except RefusedError as refusal:
        raise RefusedError(
            f"cannot be copied: {refusal}; the recording must be stopped, and the record not empty"
        ) from None
    tested.log.info("copied as test run %s", test_run_id)
    tested.test_run_id = test_run_id
