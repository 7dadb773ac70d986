"""The main flow for one test run: wait until it is quiet, stop, confirm, check the baselines."""

from contextlib import suppress
from dataclasses import dataclass

from wallarm_fast.errors import StepError, UnreachableError
from wallarm_fast.stop.confirm import confirm, not_confirmed
from wallarm_fast.stop.errors import TooFewBaselinesError
from wallarm_fast.stop.quiet import wait_until_quiet
from wallarm_fast.stop.recording import Recording
from wallarm_fast.stop.request import request_stop
from wallarm_fast.stop.results import StopResult
from wallarm_fast.text import plural


@dataclass(frozen=True)
class Rules:
    """How to stop, as the inputs of these names say (quiet_period in seconds)."""

    quiet_period: float = 0
    min_baselines: int = 0
    dry_run: bool = False


class StopJob:
    """Stops one recording. `result()` is valid at any moment, from any thread."""

    def __init__(self, recording: Recording, rules: Rules) -> None:
        self._recording = recording
        self._rules = rules
        self._error: StepError | None = None

    def run(self) -> None:
        """Do everything that the rules say; raises the StepError that prevents it."""
        recording, rules = self._recording, self._rules
        if rules.dry_run:
            recording.refresh()
            recording.check_record_id()
            return
        if rules.quiet_period:
            wait_until_quiet(recording, rules.quiet_period, rules.min_baselines)
        if not recording.off:
            request_stop(recording)
        confirm(recording)
        self._check_baselines()

    def abort(self, error: StepError) -> None:
        """Set the error: the one given or, if the stop went through, what the API has not said in time."""
        missing = self._missing() if isinstance(error, UnreachableError) else None
        self._error = missing or error

    def result(self) -> StopResult:
        """Return what is known by now."""
        recording, run = self._recording, self._recording.run
        return StopResult(
            test_run_id=recording.test_run_id,
            test_record_id=run.test_record_id,
            recording=run.recording,
            already_stopped=recording.off and not recording.accepted and not self._rules.dry_run,
            state=run.state,
            baseline_count=run.baseline_count,
            url=recording.client.connection.run_url(recording.test_run_id),
            error=self._error,
        )

    def _check_baselines(self) -> None:
        """Compare the number of baselines with min_baselines."""
        wanted = self._rules.min_baselines
        if wanted and self._recording.run.baseline_count is None:
            with suppress(StepError):
                self._recording.refresh()
        if missing := self._missing():
            raise missing
        count = self._recording.run.baseline_count
        if count is not None and count < wanted:
            raise TooFewBaselinesError(
                f"{plural(count, 'baseline')} recorded, fewer than min_baselines ({wanted}); recording "
                "is off; check that the tests went through the FAST proxy, or wait for late "
                "ones with quiet_period"
            )
        if count == 0:
            self._recording.log.warning("no baselines were recorded; an empty test record cannot be copied")

    def _missing(self) -> StepError | None:
        """Return the error for the first thing that the API has not said after the stop, if there is one."""
        recording, wanted = self._recording, self._rules.min_baselines
        if not recording.accepted and not recording.off:
            return None
        if not recording.confirmed:
            return not_confirmed(recording, "time is up")
        if wanted and recording.run.baseline_count is None:
            return TooFewBaselinesError(
                f"the API did not say how many baselines were recorded, so min_baselines ({wanted}) cannot "
                "be checked; recording is off"
            )
        return None
