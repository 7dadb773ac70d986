"""The start step: read the settings, create a test run, wait until the node records, report."""

import dataclasses

from wallarm_fast.api.creation import Creation
from wallarm_fast.app import Context, Step
from wallarm_fast.errors import AbortedError
from wallarm_fast.inputs.table import InputReader
from wallarm_fast.start.errors import NotReadyError
from wallarm_fast.start.job import StartJob
from wallarm_fast.start.report import StartReport, StartResult
from wallarm_fast.start.settings import INPUTS, OUTPUTS, read_settings


class StartStep(Step):
    """Creates a test run, and reports its id."""

    command = "start-recording"
    purpose = "Creates a Wallarm FAST test run and waits until its FAST node records baseline requests."
    example = "WALLARM_API_TOKEN=... start-recording"
    variable_prefix = "START_RECORDING_"
    inputs = INPUTS
    outputs = OUTPUTS
    report = StartReport
    errors = (AbortedError, NotReadyError)
    exports = True

    def run(self, context: Context, reader: InputReader) -> StartReport:
        """Create the run, and wait for its node."""
        settings = read_settings(reader, context.platform)

        def announce(result: StartResult) -> None:
            outputs = StartReport(results=[result]).make_outputs(context.platform.secrets)
            outputs = dataclasses.replace(outputs, environment={"TEST_RUN_ID": result.test_run_id})
            context.reporter.write_outputs(outputs)
            known = {name: value for name, value in outputs.variables.items() if name.startswith("TEST_RUN_")}
            context.reporter.print_outputs(dataclasses.replace(outputs, variables=known))

        with context.connect(settings) as client:
            job = StartJob(client, Creation(client, settings.fields), announce)
            context.run("Starting a test run", [job], client)
            result = job.result()
        return StartReport(results=[result])


STEP = StartStep()
