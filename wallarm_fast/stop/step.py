"""The stop step: read the settings, stop the recordings, report."""

from wallarm_fast.app import Context, Step
from wallarm_fast.inputs.table import InputReader
from wallarm_fast.stop.errors import NotConfirmedError, TooFewBaselinesError
from wallarm_fast.stop.job import StopJob
from wallarm_fast.stop.recording import Recording
from wallarm_fast.stop.report import StopReport
from wallarm_fast.stop.settings import INPUTS, OUTPUTS, read_settings


class StopStep(Step):
    """Stops recording, and reports the test records."""

    command = "stop-recording"
    purpose = (
        "Stops recording the baseline requests of Wallarm FAST test runs and passes on their test records."
    )
    example = "WALLARM_API_TOKEN=... TEST_RUN_ID=5080 stop-recording"
    variable_prefix = "STOP_RECORDING_"
    inputs = INPUTS
    outputs = OUTPUTS
    report = StopReport
    errors = (NotConfirmedError, TooFewBaselinesError)

    def run(self, context: Context, reader: InputReader) -> StopReport:
        """Stop all recordings at once."""
        settings = read_settings(reader)
        ids = settings.test_run_ids
        action = "Dry run: checking" if settings.dry_run else "Stopping the recording of"
        runs = f"test run {ids[0]}" if len(ids) == 1 else f"{len(ids)} test runs"
        with context.connect(settings) as client:
            jobs = [StopJob(Recording(test_run_id, client), settings) for test_run_id in ids]
            context.run(f"{action} {runs}", jobs, client)
            # Before the client is closed, which a job that hangs would report as an error.
            results = [job.result() for job in jobs]
        return StopReport(results=results, dry_run=settings.dry_run)


STEP = StopStep()
