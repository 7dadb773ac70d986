"""What is waited for at the same time, and what is copied one after the other."""

from collections.abc import Iterable, Iterator, Sequence

from wallarm_fast.errors import (
    AbortedError,
    RecordNotFoundError,
    RefusedError,
    StepError,
    UnusableResponseError,
)
from wallarm_fast.verdict.errors import UnfinishedError
from wallarm_fast.verdict.judging import check_verdict
from wallarm_fast.verdict.run import TestedRun, wait_until_ended


class WaitJob:
    """Waits for one test run."""

    def __init__(self, tested: TestedRun, min_threat: int) -> None:
        self._tested = tested
        self._min_threat = min_threat

    def run(self) -> Iterator[float]:
        """Wait for the end; raises the StepError that it stands for."""
        yield from wait_until_ended(self._tested)
        check_verdict(self._tested.latest, self._min_threat, self._tested.log)

    def abort(self, error: StepError) -> None:
        """Take note of the error."""
        self._tested.end(error)


class CopyJob:
    """Creates the copies and waits for each, one after the other: a FAST node has one run at a time.

    `before` are runs that a copy would abort, so they must have ended. `known_ids` are those of runs that are
    older than the copies.
    """

    def __init__(
        self,
        copies: Sequence[TestedRun],
        before: Sequence[TestedRun],
        known_ids: Iterable[str],
        min_threat: int,
    ) -> None:
        self._remaining = list(copies)
        self._before = before
        self._known_ids = set(known_ids)
        self._min_threat = min_threat

    def run(self) -> Iterator[float]:
        """Do everything; raises the StepError that keeps the remaining copies from being created."""
        for run in self._before:
            yield from self._wait_before(run)
        while self._remaining:
            tested = self._remaining[0]
            try:
                yield from self._copy(tested)
            except (RecordNotFoundError, RefusedError) as error:  # nothing was started
                tested.end(error)
            else:
                yield from self._judge(tested)
            self._remaining.pop(0)

    def abort(self, error: StepError) -> None:
        """Take note of what kept the remaining copies from being created or waited for."""
        for number, tested in enumerate(list(self._remaining)):
            if number:
                tested.end(UnfinishedError("not copied, because of the error before it"))
                continue
            tested.end(error)
            error = tested.error or error
            if tested.test_run_id and not isinstance(error, UnfinishedError | AbortedError):
                tested.end(error.hint("the copy may still be running"))
            elif not tested.test_run_id and tested.copy and tested.copy.may_have_created:
                tested.end(error.hint("a copy may be running, look in the portal before you try again"))

    @staticmethod
    def _wait_before(run: TestedRun) -> Iterator[float]:
        """Wait for a run that a copy would abort. If it was aborted, another run may be on the node."""
        run.log.info("waiting for its end, since a copy would abort it")
        try:
            yield from wait_until_ended(run)
        except StepError as error:
            run.end(error)
            reason = run.error or error
            known = f"not copied, since test run {run.test_run_id} is not known to have ended"
            raise type(reason)(f"{known}: {reason}") from error.__cause__
        if run.latest.state == "interrupted":
            raise AbortedError(
                f"not copied, since test run {run.test_run_id} was aborted: another may be on the node"
            )

    def _judge(self, tested: TestedRun) -> Iterator[float]:
        """Wait for the end of the copy; raises StepError if it is not known, or if another run aborted it."""
        yield from wait_until_ended(tested)
        try:
            check_verdict(tested.latest, self._min_threat, tested.log)
        except AbortedError:
            raise  # the next copy would abort the run that may be on the node now
        except StepError as error:
            tested.end(error)

    def _copy(self, tested: TestedRun) -> Iterator[float]:
        """Create the copy; raises StepError, UnusableResponseError among them if it cannot be a new run."""
        copy = tested.copy
        if copy is None:
            raise AssertionError("not a copy")  # pragma: no cover
        try:
            created = yield from copy.create(tested.log)
        except RefusedError as error:
            raise error.hint("a copy needs a stopped recording and a record that is not empty") from None
        if (
            created.id in self._known_ids
            or created.unusable_record_id
            or (created.test_record_id or tested.test_record_id) != tested.test_record_id
        ):
            raise UnusableResponseError("the API returned another test run than a new one with this record")
        self._known_ids.add(created.id or "")
        tested.log.info("copied as test run %s", created.id)
        tested.begin(created.id or "")
