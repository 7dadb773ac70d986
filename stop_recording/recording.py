"""The rules of stopping one recording: wait until it is quiet, stop, confirm, count."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from stop_recording.answers import TestRun
from stop_recording.clock import Clock, Deadline
from stop_recording.errors import (
    NotConfirmed,
    Refused,
    RunNotFound,
    StopRecordingError,
    TokenRefused,
    TooFewBaselines,
    Unreachable,
    UnusableAnswer,
)
from stop_recording.quiet import wait_until_quiet
from stop_recording.result import StopResult
from stop_recording.retry import Transient, retry
from stop_recording.wallarm import WallarmClient

_METHOD_NOT_ALLOWED = 405
_FIRST_POLL = 0.5
_LONGEST_POLL = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """How to stop, by the inputs of these names (quiet_period in seconds); `portal` shows the runs."""

    quiet_period: float = 0
    min_baselines: int = 0
    dry_run: bool = False
    portal: str | None = None


class Recording:
    """The recording of one test run, to be stopped.

    What is learnt is kept as it comes, so that `result()` is good at any moment, from any thread.
    """

    def __init__(self, test_run_id: str, client: WallarmClient, rules: Rules, deadline: Deadline) -> None:
        self.test_run_id = test_run_id
        self.error: StopRecordingError | None = None
        self._client = client
        self._rules = rules
        self._deadline = deadline
        self._clock: Clock = deadline.clock
        self._run = TestRun()
        self._accepted = False
        self._already_stopped = False
        self._subject = f"test run {test_run_id}"

    def result(self) -> StopResult:
        """Return what is known by now."""
        portal = self._rules.portal
        return StopResult(
            test_run_id=self.test_run_id,
            test_record_id=self._run.test_record_id,
            recording=self._run.recording,
            already_stopped=self._already_stopped,
            state=self._run.state,
            baseline_count=self._run.baseline_count,
            url=portal and f"{portal}/testing/testruns/{self.test_run_id}",
            error=self.error,
        )

    def stop(self) -> None:
        """Do all that the rules say; raises the StopRecordingError that stands in the way."""
        if self._rules.dry_run:
            self._look()
            return
        if self._rules.quiet_period:
            wait_until_quiet(self._look, self._rules.quiet_period, self._deadline, self._subject)
            self._already_stopped = self._run.recording is False
        if not self._already_stopped:
            self._stop()
        self._confirm()
        self._count()

    def give_up(self, error: StopRecordingError) -> None:
        """Set the error of a recording that is not done: the one given, or that its stop is not confirmed."""
        pending = NotConfirmed("the stop was accepted but not confirmed when time was up; raise timeout")
        self.error = pending if self._accepted and isinstance(error, Unreachable) else error

    def _learn(self, run: TestRun) -> None:
        self._run = self._run.updated(run)

    def _look(self, deadline: Deadline | None = None) -> TestRun:
        """Get the run, trying again as needed."""
        retry(self._look_once, deadline or self._deadline, self._subject)
        return self._run

    def _look_once(self) -> None:
        self._learn(self._client.get_test_run(self.test_run_id))

    def _stop(self) -> None:
        """Ask for the stop by run; by record where the API does not know that call."""
        refusal = self._request_stop(lambda: self._client.stop_test_run(self.test_run_id))
        if refusal is None:
            return
        if not _is_call_unknown(refusal):
            raise refusal
        record_id = self._run.test_record_id
        if not record_id:
            raise Refused("the API knows the test run, but not the call that stops it; check api_host")
        _log.info("%s: the stop call is not known; stopping by test record %s", self._subject, record_id)
        refusal = self._request_stop(lambda: self._client.stop_test_record(record_id))
        if refusal is not None:
            raise Refused(f"the stop call is not known, and by test record {record_id}: {refusal}")

    def _request_stop(self, call: Callable[[], TestRun]) -> RunNotFound | Refused | None:
        """Make the call until it is accepted; return the refusal if it is refused and recording is not off.

        A call whose answer was lost may have taken effect, so the run is looked at before the next try.
        """
        may_have_acted = False

        def attempt() -> None:
            nonlocal may_have_acted
            if may_have_acted and self._is_off():
                return
            try:
                answer = call()
            except Transient as failure:
                may_have_acted = may_have_acted or failure.may_have_acted
                raise
            self._accepted = True
            # What was counted before the stop may not be all.
            self._run = replace(self._run, baseline_count=None)
            self._learn(answer)

        try:
            retry(attempt, self._deadline, self._subject)
        except Unreachable:
            if may_have_acted and self._is_off():
                return None
            raise
        except (RunNotFound, Refused) as refusal:
            self._look_after(refusal)
            return None if self._already_stopped else refusal
        return None

    def _is_off(self) -> bool:
        """Look at the run once; where it cannot be seen it is not known to be off."""
        with suppress(Transient, RunNotFound, Refused):
            self._look_once()
        self._already_stopped = self._run.recording is False
        return self._already_stopped

    def _look_after(self, refusal: RunNotFound | Refused) -> None:
        """See whether recording is off, since the API may refuse to stop what is stopped already."""
        try:
            self._look()
        except Refused:
            raise refusal from None
        except Unreachable:
            # An unknown call tells nothing of the run; any other refusal does.
            if _is_call_unknown(refusal):
                raise
            raise refusal from None
        self._already_stopped = self._run.recording is False

    def _confirm(self) -> None:
        """Poll the run until recording is off and the record is known."""
        pause = 0.0
        while self._run.recording is not False or not self._run.test_record_id:
            if pause >= self._deadline.remaining():
                raise self._not_confirmed("time is up")
            self._clock.sleep(pause)
            if problem := self._poll():
                raise self._not_confirmed(problem)
            if self._run.recording is None and self._run.test_record_id:
                _log.warning(
                    "%s: the API accepted the stop, but does not say whether recording is off", self._subject
                )
                return
            pause = min(max(pause * 2, _FIRST_POLL), _LONGEST_POLL)

    def _poll(self) -> str | None:
        """Look at the run; return why it cannot be seen."""
        try:
            self._look()
        except (TokenRefused, UnusableAnswer):
            raise
        except StopRecordingError as error:
            return str(error)
        return None

    def _not_confirmed(self, problem: str) -> NotConfirmed:
        done = "recording is off" if self._run.recording is False else "the stop was accepted"
        missing = (
            "recording is still on"
            if self._run.recording
            else "the API did not say that recording is off"
            if self._run.recording is None
            else "the API named no test record"
        )
        return NotConfirmed(
            f"{done}, but {missing} ({problem}); raise timeout, or look at the run in the portal"
        )

    def _count(self) -> None:
        """Hold the number of baselines against min_baselines."""
        wanted = self._rules.min_baselines
        if wanted and self._run.baseline_count is None:
            with suppress(StopRecordingError):
                self._look()
        count = self._run.baseline_count
        if wanted and count is None:
            raise TooFewBaselines(
                f"the API did not say how many baselines were recorded, so min_baselines ({wanted}) cannot "
                "be checked; recording is stopped"
            )
        if count is not None and count < wanted:
            raise TooFewBaselines(
                f"{count} baselines were recorded, fewer than min_baselines ({wanted}); recording is off; "
                "check that the tests went through the FAST proxy, or wait for late ones with quiet_period"
            )
        if count == 0:
            _log.warning(
                "%s: no baselines were recorded; an empty test record cannot be copied", self._subject
            )


def _is_call_unknown(refusal: RunNotFound | Refused) -> bool:
    return isinstance(refusal, RunNotFound) or refusal.code == _METHOD_NOT_ALLOWED
