"""What every step does around its own work: command line, signals, logging, outputs, exit code."""

import logging
import queue
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Generic, Protocol, TypeVar

from wallarm_fast import __version__
from wallarm_fast.clock import Clock
from wallarm_fast.errors import InputError, InternalError, OutputError, SignalError, StepError
from wallarm_fast.inputs.table import Input, read_input, read_token
from wallarm_fast.parallel import Events
from wallarm_fast.platforms import Publication, Reporter, detect_platform, make_reporter

_log = logging.getLogger(__name__)


class Report(Protocol):
    """What a step found out and did."""

    @property
    def failure(self) -> StepError | None:
        """The error that decides the exit code."""

    def outcomes(self) -> Iterator[tuple[str, str | StepError]]:
        """Yield what each outcome is about, and the outcome: a success in words, or an error."""


_R = TypeVar("_R", bound=Report)


@dataclass(frozen=True)
class Step(Generic[_R]):
    """A step, as `run_step` needs to know it.

    `run` reads the settings and does the work; if it raises a StepError, `failed` makes a report of that.
    `publication` returns the outputs, without the secrets that it is given.
    """

    command: str
    purpose: str
    inputs: Mapping[str, Input]
    gitlab_output_file: str
    exit_codes: str
    run: Callable[[Mapping[str, str], Clock, Events, Reporter], _R]
    failed: Callable[[StepError], _R]
    publication: Callable[[_R, Collection[str]], Publication]


def run_step(
    step: Step[_R], environ: Mapping[str, str], arguments: Sequence[str] = (), clock: Clock | None = None
) -> int:
    """Run the step with these environment variables and return the exit code of the process.

    `arguments` are those of the command line: --help, --version or none.
    """
    if arguments:
        return _run_cli(step, arguments)
    events: Events = queue.SimpleQueue()
    output_file = read_input(environ, "output_file", step.inputs["output_file"])
    platform = detect_platform(environ, read_token(environ), output_file, step.gitlab_output_file)
    with _signals_become_events(events), make_reporter(platform) as reporter:
        try:
            report = step.run(environ, clock or Clock(), events, reporter)
        except StepError as error:
            report = step.failed(error)
        except Exception as error:  # noqa: BLE001 - the last resort: one error line, and no secret in it
            report = step.failed(InternalError.of(error))
        _log_results(report)
        return _write_outputs(step, report, reporter)


def _log_results(report: Report) -> None:
    for subject, outcome in report.outcomes():
        if isinstance(outcome, StepError):
            _log_error(outcome, subject)
        else:
            _log.info("%s: %s", subject, outcome)


def _log_error(error: StepError, subject: str = "") -> None:
    if error.__cause__:
        for line in "".join(traceback.format_exception(error.__cause__)).splitlines():
            _log.info("| %s", line)
    _log.error("%s%s", f"{subject}: " if subject else "", error, extra={"title": error.title})


def _write_outputs(step: Step[_R], report: _R, reporter: Reporter) -> int:
    """Write the outputs and return the exit code. If they cannot be written, the step has failed."""
    exit_code = report.failure.exit_code if report.failure else 0
    try:
        reporter.write_outputs(step.publication(report, reporter.platform.secrets))
    except OutputError as error:
        if exit_code:
            _log.warning("outputs: %s", error)
        else:
            _log_error(error, "outputs")
        return exit_code or error.exit_code
    return exit_code


@contextmanager
def _signals_become_events(events: Events) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into events, which end a wait but do not interrupt writing the outputs."""

    def interrupt(number: int, _: FrameType | None) -> None:
        events.put(SignalError(number, signal.Signals(number).name))

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_cli(step: Step[_R], arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:
        print(f"{step.command} {__version__}")
        return 0
    if list(arguments) == ["--help"]:
        print(_help(step))
        return 0
    print("error: the only arguments are --help and --version", file=sys.stderr)
    return InputError.exit_code


def _help(step: Step[_R]) -> str:
    rows = [("input", "environment variable", "default", "meaning")]
    rows += [(name, spec.variable, spec.default or "-", spec.meaning) for name, spec in step.inputs.items()]
    table = "\n".join(
        f"  {name:14}{variable:30}{default:8}{meaning}" for name, variable, default, meaning in rows
    )
    return (
        f"usage: {step.command} [--help | --version]\n\n"
        f"{step.purpose}\n"
        "An input is taken from INPUT_<NAME>, else from the environment variable, else from the default.\n\n"
        f"{table}\n\n"
        "WALLARM_API_TOKEN_FILE may name a file that holds the token.\n"
        f"Exit codes: {step.exit_codes}"
    )
