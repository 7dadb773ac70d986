"""What is done at the same time for several test runs, and what one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from wallarm_fast.api.retry import TransientError, retry
from wallarm_fast.errors import (
    RefusedError,
    RunNotFoundError,
    StepError,
    UnreachableError,
)
from wallarm_fast.verdict.errors import InterruptedRunError, RecordNotFoundError, UnfinishedError
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

    `before` are runs that a copy would abort, so they must have ended.
    """

    def __init__(self, copies: Sequence[TestedRun], before: Sequence[TestedRun], min_threat: int) -> None:
        self._remaining = list(copies)
        self._before = before
        self._min_threat = min_threat
        self._requested = False

    def run(self) -> None:
        """Do everything; raises the StepError that keeps the remaining copies from being made."""
        for run in self._before:
            run.log.info("waiting for its end, since a copy would abort it")
            try:
                wait_until_ended(run)
            except StepError as error:
                raise error.reworded(
                    f"not copied, since test run {run.test_run_id} is not known to have ended: {error}"
                ) from None
        while self._remaining:
            tested = self._remaining[0]
            try:
                self._copy(tested)
            except (RecordNotFoundError, RefusedError) as error:  # nothing was started
                tested.error = error
            else:
                self._judge(tested)
            self._requested = False
            self._remaining.pop(0)

    def abort(self, error: StepError) -> None:
        """Take note of what kept the remaining copies from being made or waited for."""
        for number, tested in enumerate(list(self._remaining)):
            if number:
                tested.error = UnfinishedError("not copied, because of the error before it")
            elif tested.test_run_id and not isinstance(error, UnfinishedError | InterruptedRunError):
                tested.error = error.reworded(f"{error}; the copy may still be running")
            elif self._requested and not tested.test_run_id:
                tested.error = error.reworded(
                    f"{error}; a copy may be running, look in the portal before you try again"
                )
            else:
                tested.error = error

    def _judge(self, tested: TestedRun) -> None:
        """Wait for the end of the copy; raises StepError if it is not known, or if another run aborted it."""
        wait_until_ended(tested)
        try:
            check_verdict(tested, self._min_threat)
        except InterruptedRunError:
            raise  # the next copy would abort the run that may be on the node now
        except StepError as error:
            tested.error = error

    def _copy(self, tested: TestedRun) -> None:
        """Make the copy. A call that may have acted is not repeated: a second copy would abort the first."""

        def attempt() -> str:
            self._requested = True
            try:
                return tested.client.copy_test_run(tested.copied_by or {})
            except (TransientError, StepError) as failure:
                self._requested = isinstance(failure, TransientError) and failure.may_have_acted
                if self._requested:
                    raise UnreachableError(str(failure)) from None
                raise

        try:
            test_run_id = retry(attempt, tested.deadline, tested.log)
        except RunNotFoundError as error:
            raise RecordNotFoundError(str(error)) from None
        except RefusedError as error:
            if "test_record_id" not in str(error):
                raise
            raise error.reworded(
                f"{error}; the recording must be stopped, and the record not empty"
            ) from None
        tested.log.info("copied as test run %s", test_run_id)
        tested.test_run_id = test_run_id
