"""What every step does around its own work: settings, signals, logging, outputs, exit code."""

import logging
import queue
import signal
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.errors import InternalError, OutputError, SignalError, StepError
from wallarm_fast.inputs.connection import Settings
from wallarm_fast.inputs.output_files import OutputFiles, find_output_files
from wallarm_fast.inputs.table import Input, InputReader, read_token
from wallarm_fast.outputs.report import Report
from wallarm_fast.outputs.table import Output
from wallarm_fast.parallel import Events, Job, run_all
from wallarm_fast.platforms import Platform, Reporter, detect_platform, make_reporter

# How long after the end of the work the log may take, in seconds.
_LOG_GRACE = 0.6
_log = logging.getLogger(__name__)


@dataclass
class Context:
    """What a step runs in. `deadline` is known once the step has connected."""

    reporter: Reporter
    clock: Clock
    events: Events = field(default_factory=queue.SimpleQueue)
    deadline: Deadline | None = None

    @property
    def platform(self) -> Platform:
        """The platform that runs the step."""
        return self.reporter.platform

    def connect(self, settings: Settings) -> WallarmClient:
        """Return a client for the API; the time of the step begins."""
        self.deadline = Deadline.after(settings.timeout, self.clock)
        return WallarmClient(settings.connection, self.deadline)

    def run(self, title: str, jobs: Sequence[Job], client: WallarmClient) -> None:
        """Run all jobs at once, under a title in the log."""
        with self.reporter.section(f"{title} at {client.connection.base_url}"):
            run_all(jobs, client.deadline, self.events)


class Step(ABC):
    """A step: what is special to it. `variable_prefix` is that of its own environment variables.

    `errors` are those that not every step has, for its help. `exports` tells whether it sets variables for
    later steps of the job.
    """

    command: ClassVar[str]
    purpose: ClassVar[str]
    example: ClassVar[str]
    variable_prefix: ClassVar[str]
    inputs: ClassVar[Mapping[str, Input]]
    outputs: ClassVar[Mapping[str, Output]]
    report: ClassVar[type[Report[Any]]]
    errors: ClassVar[Sequence[type[StepError]]] = ()
    exports: ClassVar[bool] = False

    @abstractmethod
    def run(self, context: Context, reader: InputReader) -> Report[Any]:
        """Read the settings, do the work, and return the report; raises StepError."""


def run_step(step: Step, environ: Mapping[str, str], clock: Clock | None = None) -> int:
    """Run the step with these environment variables and return the exit code of the process."""
    platform = detect_platform(environ, read_token(environ))
    files = find_output_files(environ, step.inputs, platform, exports=step.exports)
    reporter = make_reporter(platform, files.paths)
    context = Context(reporter, clock or Clock())
    with _signals_become_events(context.events), reporter:
        try:
            report = step.run(context, make_reader(step, environ, files))
        except StepError as error:
            report = step.report().with_error(error)
        except Exception as error:  # noqa: BLE001 - the last resort: one error line, and no secret in it
            report = step.report().with_error(InternalError.of(error))
        # Before the last log lines, so that a log that nobody reads cannot hold the outputs back.
        report = _write_outputs(report, reporter)
        _log_outcomes(report)
    time_left = context.deadline.remaining() if context.deadline else 0.0
    patience = 0.0 if isinstance(report.failure, SignalError) else time_left
    reporter.drain(Deadline.after(patience + _LOG_GRACE, Clock()))
    return report.failure.exit_code if report.failure else 0


def make_reader(step: Step, environ: Mapping[str, str], files: OutputFiles) -> InputReader:
    """Return a reader of the step's inputs, which knows what is wrong with files and variables."""
    reader = InputReader(step.inputs, environ)
    reader.warn_of_unknown(step.variable_prefix, [spec.variable for spec in step.outputs.values()])
    for name, problem in files.problems.items():
        reader.reject(name, problem)
    return reader


def _write_outputs(report: Report[Any], reporter: Reporter) -> Report[Any]:
    """Write the outputs. If that fails, so does the step, and the outputs that can be written say so."""
    outputs = report.make_outputs(reporter.platform.secrets)
    for write in (reporter.write_outputs, reporter.print_outputs):
        try:
            write(outputs)
        except OutputError as error:
            if any(found and found.args == error.args for _, found in report.log_lines()):
                continue
            report = report.with_error(error)
            outputs = report.make_outputs(reporter.platform.secrets)
            with suppress(OutputError):
                reporter.write_outputs(outputs)
    reporter.write_summary(outputs)
    return report


def _log_outcomes(report: Report[Any]) -> None:
    for line, error in report.log_lines():
        if error and error.__cause__:
            for part in "".join(traceback.format_exception(error.__cause__)).splitlines():
                _log.info("| %s", part)
        _log.log(logging.ERROR if error else logging.INFO, "%s", line, extra={"title": error and error.title})


@contextmanager
def _signals_become_events(events: Events) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into events, which end a wait but do not interrupt writing the outputs."""

    def interrupt(number: int, _: object) -> None:
        events.put(SignalError(number))

    handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
