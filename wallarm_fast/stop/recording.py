"""The rules of stopping one recording: wait until it is quiet, stop, confirm, check the baselines."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.api.responses import TestRun
from wallarm_fast.api.retry import TransientError, retry
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.errors import (
    RefusedError,
    RunNotFoundError,
    StepError,
    TokenRefusedError,
    UnknownCallError,
    UnreachableError,
    UnusableAnswerError,
)
from wallarm_fast.log import RunLogger
from wallarm_fast.stop.errors import NotConfirmedError, TooFewBaselinesError
from wallarm_fast.stop.quiet import wait_until_quiet
from wallarm_fast.stop.results import StopResult

_FIRST_POLL = 0.5
_LONGEST_POLL = 5.0


@dataclass(frozen=True)
class Rules:
    """How to stop, as the inputs of these names say (quiet_period in seconds)."""

    quiet_period: float = 0
    min_baselines: int = 0
    dry_run: bool = False


class Recording:
    """The recording of one test run, to be stopped.

    Everything that is learned is kept at once, so that `result()` is valid at any moment, from any thread.
    """

    def __init__(self, test_run_id: str, client: WallarmClient, rules: Rules, deadline: Deadline) -> None:
        self.test_run_id = test_run_id
        self._client = client
        self._rules = rules
        self._deadline = deadline
        self._clock: Clock = deadline.clock
        self._log = RunLogger(__name__, test_run_id)
        self._run = TestRun()
        self._accepted = False
        self._already_stopped = False
        self._error: StepError | None = None

    def result(self) -> StopResult:
        """Return what is known by now."""
        return StopResult(
            test_run_id=self.test_run_id,
            test_record_id=self._run.test_record_id,
            recording=self._run.recording,
            already_stopped=self._already_stopped,
            state=self._run.state,
            baseline_count=self._run.baseline_count,
            url=self._client.connection.run_url(self.test_run_id),
            error=self._error,
        )

    def run(self) -> None:
        """Do everything that the rules say; raises the StepError that prevents it."""
        if self._rules.dry_run:
            self._refresh()
            return
        if self._rules.quiet_period:
            wait_until_quiet(self._refresh, self._rules.quiet_period, self._deadline, self._log)
            self._already_stopped = self._run.recording is False
        if not self._already_stopped:
            self._stop()
        self._confirm()
        self._check_baselines()

    def abort(self, error: StepError) -> None:
        """Set the error: the one given, or that an accepted stop is not confirmed."""
        if isinstance(error, UnreachableError) and self._accepted:
            error = NotConfirmedError("the stop was accepted, but not confirmed in time; raise timeout")
        self._error = error

    def _update(self, run: TestRun) -> None:
        self._run = self._run.updated(run)

    def _refresh(self, deadline: Deadline | None = None) -> TestRun:
        """Get the run, with retries."""
        retry(self._refresh_once, deadline or self._deadline, self._log)
        return self._run

    def _refresh_once(self) -> None:
        self._update(self._client.get_test_run(self.test_run_id))

    def _stop(self) -> None:
        """Request the stop by test run, or by test record if the API does not know that call."""
        refusal = self._request_stop(lambda: self._client.stop_test_run(self.test_run_id))
        if refusal is None:
            return
        if not isinstance(refusal, RunNotFoundError | UnknownCallError):
            raise refusal
        record_id = self._run.test_record_id
        if not record_id:
            raise RefusedError("the API knows the test run, but not the call that stops it; check api_host")
        self._log.info("the API does not know the stop call; stopping by test record %s", record_id)
        refusal = self._request_stop(lambda: self._client.stop_test_record(record_id))
        if refusal is not None:
            raise RefusedError(
                f"the API does not know the stop call, and by test record {record_id}: {refusal}"
            )

    def _request_stop(self, call: Callable[[], TestRun]) -> RunNotFoundError | RefusedError | None:
        """Make the call until it is accepted; return the refusal if it is refused and recording is not off.

        A call whose answer was lost may have taken effect, so the run is looked at before the next attempt.
        """
        may_have_acted = False

        def attempt() -> None:
            nonlocal may_have_acted
            if may_have_acted and self._is_off():
                return
            try:
                answer = call()
            except TransientError as failure:
                may_have_acted = may_have_acted or failure.may_have_acted
                raise
            self._accepted = True
            # What was counted before the stop may not be everything.
            self._run = replace(self._run, baseline_count=None)
            self._update(answer)

        try:
            retry(attempt, self._deadline, self._log)
        except UnreachableError:
            if may_have_acted and self._is_off():
                return None
            raise
        except (RunNotFoundError, RefusedError) as refusal:
            return None if self._refused_because_off(refusal) else refusal
        return None

    def _is_off(self) -> bool:
        """Look at the run once; if it cannot be seen, it is not known to be off."""
        with suppress(TransientError, RunNotFoundError, RefusedError):
            self._refresh_once()
        self._already_stopped = self._run.recording is False
        return self._already_stopped

    def _refused_because_off(self, refusal: RunNotFoundError | RefusedError) -> bool:
        """Look whether recording is off, since the API may refuse to stop what is already stopped."""
        try:
            self._refresh()
        except RefusedError:
            raise refusal from None
        except UnreachableError:
            # An unknown call says nothing about the run; any other refusal does.
            if isinstance(refusal, RunNotFoundError | UnknownCallError):
                raise
            raise refusal from None
        self._already_stopped = self._run.recording is False
        return self._already_stopped

    def _confirm(self) -> None:
        """Poll the run until recording is off and the test record is known."""
        pause = 0.0
        while self._run.recording is not False or not self._run.test_record_id:
            if pause >= self._deadline.remaining():
                raise self._not_confirmed("time is up")
            self._clock.sleep(pause)
            if problem := self._poll():
                raise self._not_confirmed(problem)
            if self._run.recording is None and self._run.test_record_id:
                self._log.warning("the API accepted the stop, but does not say whether recording is off")
                return
            pause = min(max(pause * 2, _FIRST_POLL), _LONGEST_POLL)

    def _poll(self) -> str | None:
        """Look at the run; return why it cannot be seen."""
        try:
            self._refresh()
        except (TokenRefusedError, UnusableAnswerError):
            raise
        except StepError as error:
            return str(error)
        return None

    def _not_confirmed(self, problem: str) -> NotConfirmedError:
        done = "recording is off" if self._run.recording is False else "the stop was accepted"
        missing = {
            True: "recording is still on",
            None: "the API did not say that recording is off",
            False: "the API named no test record",
        }[self._run.recording]
        return NotConfirmedError(
            f"{done}, but {missing} ({problem}); raise timeout, or look at the run in the portal"
        )

    def _check_baselines(self) -> None:
        """Compare the number of baselines with min_baselines."""
        wanted = self._rules.min_baselines
        if wanted and self._run.baseline_count is None:
            with suppress(StepError):
                self._refresh()
        count = self._run.baseline_count
        if wanted and count is None:
            raise TooFewBaselinesError(
                f"the API did not say how many baselines were recorded, so min_baselines ({wanted}) cannot "
                "be checked; recording is stopped"
            )
        if count is not None and count < wanted:
            raise TooFewBaselinesError(
                f"{count} baselines were recorded, fewer than min_baselines ({wanted}); recording is off; "
                "check that the tests went through the FAST proxy, or wait for late ones with quiet_period"
            )
        if count == 0:
            self._log.warning("no baselines were recorded; an empty test record cannot be copied")
