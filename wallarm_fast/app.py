"""What every step does around its own work: command line, signals, logging, outputs, exit code."""

import logging
import queue
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wallarm_fast import __version__
from wallarm_fast.clock import Clock
from wallarm_fast.errors import InputError, InternalError, OutputError, SignalError, StepError
from wallarm_fast.inputs.table import Input, read_input, read_token
from wallarm_fast.parallel import Events, start_thread
from wallarm_fast.platforms import Platform, Publication, Reporter, detect_platform, make_reporter
from wallarm_fast.report import Report

_log = logging.getLogger(__name__)


_R = TypeVar("_R", bound=Report[Any])


@dataclass(frozen=True)
class Step(Generic[_R]):
    """A step, as `run_step` needs to know it.

    `run` reads the settings and does the work; `no_report` returns the report until then. `publication`
    returns the outputs, without the secrets that it is given.
    """

    command: str
    purpose: str
    inputs: Mapping[str, Input]
    gitlab_output_file: str
    exit_codes: str
    run: Callable[[Mapping[str, str], Clock, Events, Reporter], _R]
    no_report: Callable[[Mapping[str, str], Platform], _R]
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
            report = step.no_report(environ, platform).with_error(error)
        except Exception as error:  # noqa: BLE001 - the last resort: one error line, and no secret in it
            report = step.no_report(environ, platform).with_error(InternalError.of(error))
        # Before the last log lines, so that a log that nobody reads cannot hold the outputs back.
        report = _write_outputs(step, report, reporter)
        _log_outcomes(report)
    return report.failure.exit_code if report.failure else 0


def _write_outputs(step: Step[_R], report: _R, reporter: Reporter) -> _R:
    """Write the outputs. If that fails, so does the step, and the outputs that can be written say so."""
    publication = step.publication(report, reporter.platform.secrets)
    for write in (reporter.write_outputs, reporter.print_outputs):
        try:
            write(publication)
        except OutputError as error:
            if isinstance(report.failure, InputError):  # which has said what is wrong with the file
                continue
            report = report.with_error(error)
            publication = step.publication(report, reporter.platform.secrets)
            with suppress(OutputError):
                reporter.write_outputs(publication)
    reporter.write_summary(publication)
    return report


def _log_outcomes(report: Report[Any]) -> None:
    for line, error in report.outcomes():
        if error and error.__cause__:
            for part in "".join(traceback.format_exception(error.__cause__)).splitlines():
                _log.info("| %s", part)
        _log.log(logging.ERROR if error else logging.INFO, "%s", line, extra={"title": error and error.title})


@contextmanager
def _signals_become_events(events: Events) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into events, which end a wait but do not interrupt writing the outputs."""

    def interrupt(number: int, _: object) -> None:
        events.put(SignalError(number, signal.Signals(number).name))

    def wake_up() -> None:
        with suppress(OSError):  # closed
            while receiver.recv(1):
                events.put(None)

    # Handlers run in the main thread, which a signal does not wake up if it came just before the wait began
    # or another thread took it. But it always writes to the socket.
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.settimeout(0)
        start_thread(wake_up)
        wakeup_fd = signal.set_wakeup_fd(sender.fileno())
        handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup_fd)
            receiver.shutdown(socket.SHUT_RDWR)


def _run_cli(step: Step[_R], arguments: Sequence[str]) -> int:
    texts = {"--version": f"{step.command} {__version__}", "--help": _help(step)}
    if len(arguments) == 1 and arguments[0] in texts:
        with suppress(OSError):  # nobody reads it
            print(texts[arguments[0]], flush=True)
        return 0
    print("error: the only arguments are --help and --version", file=sys.stderr)
    return InputError.exit_code


def _help(step: Step[_R]) -> str:
    rows = [("input", "environment variable", "default", "meaning")]
    rows += [(name, spec.variable, spec.default or "-", spec.meaning) for name, spec in step.inputs.items()]
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    lines = ("".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    table = "\n".join(f"  {line.rstrip()}" for line in lines)
    return (
        f"usage: {step.command} [--help | --version]\n\n"
        f"{step.purpose}\n"
        "An input is taken from INPUT_<NAME>, else from the environment variable, else from the default.\n\n"
        f"{table}\n\n"
        "WALLARM_API_TOKEN_FILE may name a file that holds the token.\n"
        f"Exit codes: {step.exit_codes}"
    )
