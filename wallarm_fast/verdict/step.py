"""The verdict step: read the settings, copy if asked, wait for the security tests, report."""

from wallarm_fast.api.creation import Creation
from wallarm_fast.app import Context, Step
from wallarm_fast.errors import AbortedError
from wallarm_fast.inputs.table import InputReader
from wallarm_fast.text import plural
from wallarm_fast.verdict.errors import NotTestedError, UnfinishedError, VulnerabilitiesError
from wallarm_fast.verdict.job import CopyJob, WaitJob
from wallarm_fast.verdict.report import VerdictReport
from wallarm_fast.verdict.run import TestedRun
from wallarm_fast.verdict.settings import INPUTS, OUTPUTS, read_settings


class VerdictStep(Step):
    """Waits for the security tests, and reports the verdict."""

    command = "fast-verdict"
    purpose = "Waits for the security tests of Wallarm FAST test runs, or of copies that it creates."
    example = "WALLARM_API_TOKEN=... TEST_RUN_ID=5080 fast-verdict"
    variable_prefix = "FAST_VERDICT_"
    inputs = INPUTS
    outputs = OUTPUTS
    report = VerdictReport
    errors = (VulnerabilitiesError, AbortedError, UnfinishedError, NotTestedError)

    def run(self, context: Context, reader: InputReader) -> VerdictReport:
        """Wait for all runs at once, or create copies and wait for them."""
        settings = read_settings(reader, context.platform)
        with context.connect(settings) as client:
            runs = [TestedRun(client, test_run_id) for test_run_id in settings.test_run_ids]
            jobs: list[WaitJob | CopyJob] = [WaitJob(run, settings.min_threat) for run in runs]
            title = f"Waiting for the security tests of {plural(len(runs), 'test run')}"
            if settings.copies:
                copies = [TestedRun(client, copy=Creation(client, fields)) for fields in settings.copies]
                before = runs if settings.wait_for_idle else []
                jobs, runs = [CopyJob(copies, before, settings.test_run_ids, settings.min_threat)], copies
                title = f"Copying, and waiting for the security tests of {plural(len(copies), 'copy')}"
            context.run(title, jobs, client)
            # Before the client is closed, which a job that hangs would report as an error.
            results = [run.result(settings.min_threat) for run in runs]
        return VerdictReport(results=results)


STEP = VerdictStep()
