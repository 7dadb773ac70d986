"""The one story: read the settings, stop the recordings, report."""

import logging
import queue
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from stop_recording import __version__
from stop_recording.clock import Clock, Deadline
from stop_recording.errors import BadInput, InternalError, Interrupted, StopRecordingError
from stop_recording.recording import Rules
from stop_recording.reporting import Reporter, make_reporter
from stop_recording.result import Report, StopResult
from stop_recording.runs import Events, stop_recordings
from stop_recording.settings import INPUTS, TOKEN_FILE_VARIABLE, Settings, read_platform, read_settings
from stop_recording.wallarm import WallarmClient

_log = logging.getLogger(__name__)


def main(environ: Mapping[str, str], arguments: Sequence[str] = (), clock: Clock | None = None) -> int:
    """Run the step with these environment variables and return the process's exit code.

    `arguments` are those of the command line: none but --help or --version.
    """
    if arguments:
        return _answer(arguments)
    events: Events = queue.SimpleQueue()
    with _signals(events), make_reporter(read_platform(environ)) as reporter:
        try:
            report = _stop(read_settings(environ), clock or Clock(), events, reporter)
        except StopRecordingError as error:
            report = Report(error=error)
        except Exception as error:  # noqa: BLE001 - the last resort: a line that says so, and no secret
            report = Report(error=InternalError.of(error))
        _tell(report)
        return _hand_on(report, reporter)


def _stop(settings: Settings, clock: Clock, events: Events, reporter: Reporter) -> Report:
    for warning in settings.warnings:
        _log.warning(warning)
    deadline = Deadline.after(settings.timeout, clock)
    rules = Rules(settings.quiet_period, settings.min_baselines, settings.dry_run, settings.portal)
    doing = "Dry run: looking at" if settings.dry_run else "Stopping the recording of"
    ids = settings.test_run_ids
    runs = f"test run {ids[0]}" if len(ids) == 1 else f"{len(ids)} test runs"
    with (
        WallarmClient(settings.base_url, settings.token, settings.ca_certificates, deadline) as client,
        reporter.section(f"{doing} {runs} at {settings.base_url}"),
    ):
        results = stop_recordings(ids, client, rules, deadline, events)
    return Report(results, dry_run=settings.dry_run, base_url=settings.base_url)


def _tell(report: Report) -> None:
    """Log one line for each run, or for what kept the step from coming to them."""
    for result in report.results:
        if result.error:
            _log_error(result.error, f"test run {result.test_run_id}: ")
        else:
            _log.info("%s", _success(result, dry_run=report.dry_run))
    if report.error:
        _log_error(report.error)


def _success(result: StopResult, *, dry_run: bool) -> str:
    if dry_run:
        done = (
            "found, nothing changed; recording is "
            + {True: "on", False: "off", None: "not told"}[result.recording]
        )
    else:
        done = "recording was stopped already" if result.already_stopped else "recording stopped"
    known = {"test record": result.test_record_id, "baselines": result.baseline_count, "state": result.state}
    details = "".join(f", {name} {value}" for name, value in known.items() if value is not None)
    return f"test run {result.test_run_id}: {done}{details}"


def _log_error(error: StopRecordingError, prefix: str = "") -> None:
    if error.__cause__:
        for line in "".join(traceback.format_exception(error.__cause__)).splitlines():
            _log.info("| %s", line)
    _log.error("%s%s", prefix, error, extra={"title": error.title})


def _hand_on(report: Report, reporter: Reporter) -> int:
    """Write the outputs; if that fails, so does the step: they are what it is for."""
    try:
        reporter.write(report)
    except BadInput as error:
        if report.exit_code:
            _log.warning("outputs: %s", error)
        else:
            _log_error(error, "outputs: ")
        return report.exit_code or error.exit_code
    return report.exit_code


@contextmanager
def _signals(events: Events) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into events, so that they end the waiting but no writing of outputs."""

    def interrupt(number: int, _: FrameType | None) -> None:
        events.put(Interrupted(number, signal.Signals(number).name))

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answer(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:
        print(f"stop-recording {__version__}")
        return 0
    if list(arguments) == ["--help"]:
        print(_help())
        return 0
    print("error: there are no arguments but --help and --version", file=sys.stderr)
    return BadInput.exit_code


def _help() -> str:
    table = "\n".join(
        f"  {name:14}{spec.variable:30}{spec.default or '-':8}{spec.meaning}" for name, spec in INPUTS.items()
    )
    return (
        "usage: stop-recording [--help | --version]\n\n"
        "Stops recording the baseline requests of a Wallarm FAST test run and tells its test record.\n"
        "An input is taken from INPUT_<NAME>, else from the environment variable, else it is the default.\n\n"
        f"  {'input':14}{'environment variable':30}{'default':8}meaning\n{table}\n\n"
        f"{TOKEN_FILE_VARIABLE} may name a file that holds the token.\n"
        "Exit codes: 0 stopped, 1 bug, 2 bad input, 3 token refused, 4 no such test run, 5 request refused,\n"
        "6 API not reachable, 7 stop not confirmed, 8 too few baselines, 130/143 interrupted"
    )
