"""The main flow for one test run: wait until it is quiet, stop, confirm, check the baselines."""

from collections.abc import Iterator
from contextlib import suppress

from wallarm_fast.errors import StepError, UnreachableError
from wallarm_fast.stop.confirm import confirm, not_confirmed
from wallarm_fast.stop.errors import TooFewBaselinesError
from wallarm_fast.stop.quiet import wait_until_quiet
from wallarm_fast.stop.recording import Recording
from wallarm_fast.stop.report import StopResult
from wallarm_fast.stop.request import request_stop
from wallarm_fast.stop.settings import StopSettings
from wallarm_fast.text import plural


class StopJob:
    """Stops one recording. `result()` is valid at any moment, from any thread."""

    def __init__(self, recording: Recording, settings: StopSettings) -> None:
        self._recording = recording
        self._settings = settings
        self._error: StepError | None = None

    def run(self) -> Iterator[float]:
        """Do everything that the settings say; raises the StepError that prevents it."""
        recording, settings = self._recording, self._settings
        if settings.dry_run:
            yield from recording.fetch_with_retries()
            recording.check_record_id()
            return
        if settings.quiet_period:
            yield from wait_until_quiet(recording, settings.quiet_period, settings.min_baselines)
        if not recording.off:
            yield from request_stop(recording)
        yield from confirm(recording)
        yield from self._check_baselines()

    def abort(self, error: StepError) -> None:
        """Set the error: the one given or, if the stop went through, what the API has not said in time."""
        missing = self._missing() if isinstance(error, UnreachableError) else None
        self._error = missing or error

    def result(self) -> StopResult:
        """Return what is known by now."""
        recording, dry_run = self._recording, self._settings.dry_run
        return StopResult(
            test_run_id=recording.test_run_id,
            latest=recording.latest,
            already_stopped=recording.off and not recording.accepted and not dry_run,
            dry_run=dry_run,
            url=recording.client.connection.run_url(recording.test_run_id),
            error=self._error,
        )

    def _check_baselines(self) -> Iterator[float]:
        """Compare the number of baselines with min_baselines; warn of a record that may lack some."""
        wanted = self._settings.min_baselines
        if self._recording.latest.state == "interrupted":
            self._recording.log.warning("the test run was aborted; its test record may be incomplete")
        if wanted and self._recording.latest.baseline_count is None:
            with suppress(StepError):
                yield from self._recording.fetch_with_retries()
        if missing := self._missing():
            raise missing
        count = self._recording.latest.baseline_count
        if count is not None and count < wanted:
            raise TooFewBaselinesError(
                f"{plural(count, 'baseline')} recorded, fewer than min_baselines ({wanted}); "
                f"{self._recording.off_text}"
            ).hint(
                "check that the tests went through the FAST node; wait for late baselines with quiet_period"
            )
        if count == 0:
            self._recording.log.warning("no baselines were recorded; an empty test record cannot be copied")

    def _missing(self) -> StepError | None:
        """Return the error for the first thing that the API has not said after the stop, if there is one."""
        recording, wanted = self._recording, self._settings.min_baselines
        if not recording.accepted and not recording.off:
            return None
        if not recording.confirmed:
            return not_confirmed(recording)
        if wanted and recording.latest.baseline_count is None:
            return TooFewBaselinesError(
                f"the API returned no baseline_count, so min_baselines ({wanted}) cannot be checked; "
                f"{recording.off_text}"
            )
        return None
