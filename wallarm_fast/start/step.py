"""The start step: read the settings, create a test run, wait until the node records, report."""

import dataclasses
from collections.abc import Mapping, Sequence

from wallarm_fast.api.creation import Creation
from wallarm_fast.app import Context, Step, run_step
from wallarm_fast.clock import Clock
from wallarm_fast.errors import AbortedError
from wallarm_fast.inputs.output_files import OutputFiles
from wallarm_fast.inputs.table import InputReader
from wallarm_fast.start.errors import NotReadyError
from wallarm_fast.start.job import StartJob
from wallarm_fast.start.report import StartReport, StartResult, early_outputs
from wallarm_fast.start.settings import INPUTS, OUTPUTS, read_settings


class StartStep(Step):
    """Creates a test run, and reports its id."""

    command = "start-recording"
    purpose = "Creates a Wallarm FAST test run and waits until its FAST node records baseline requests."
    example = "WALLARM_API_TOKEN=... start-recording"
    variable_prefix = "START_RECORDING_"
    inputs = INPUTS
    outputs = OUTPUTS
    errors = (AbortedError, NotReadyError)
    exports = True

    def run(self, context: Context, reader: InputReader) -> StartReport:
        """Create the run, and wait for its node."""
        settings = read_settings(reader, context.platform)

        def announce(result: StartResult) -> None:
            outputs = early_outputs(result, context.platform.secrets)
            context.reporter.write_outputs(outputs)
            known = {name: value for name, value in outputs.variables.items() if name.startswith("TEST_RUN_")}
            context.reporter.print_outputs(dataclasses.replace(outputs, variables=known))

        with context.connect(settings) as client:
            job = StartJob(client, Creation(client, settings.fields), announce)
            context.run("Starting a test run", [job], client)
            result = job.result()
        return StartReport(results=[result])

    def empty_report(self, files: OutputFiles) -> StartReport:
        """Return the report of a step that created nothing."""
        return StartReport()


def main(environ: Mapping[str, str], arguments: Sequence[str] = (), clock: Clock | None = None) -> int:
    """Run the step with these environment variables and return the exit code of the process."""
    return run_step(StartStep(), environ, arguments, clock)
