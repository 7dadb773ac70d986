"""The stop step: read the settings, stop the recordings, report."""

import logging
from collections.abc import Mapping, Sequence

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.app import Step, run_step
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.parallel import Events, run_all
from wallarm_fast.platforms import Reporter
from wallarm_fast.stop.job import Rules, StopJob
from wallarm_fast.stop.outputs import make_publication
from wallarm_fast.stop.recording import Recording
from wallarm_fast.stop.results import StopReport
from wallarm_fast.stop.settings import GITLAB_OUTPUT_FILE, INPUTS, read_settings

_log = logging.getLogger(__name__)


def main(environ: Mapping[str, str], arguments: Sequence[str] = (), clock: Clock | None = None) -> int:
    """Run the step with these environment variables and return the exit code of the process."""
    return run_step(STEP, environ, arguments, clock)


def _run(environ: Mapping[str, str], clock: Clock, events: Events, reporter: Reporter) -> StopReport:
    settings = read_settings(environ, reporter.platform)
    for warning in settings.warnings:
        _log.warning(warning)
    deadline = Deadline.after(settings.timeout, clock)
    rules = Rules(settings.quiet_period, settings.min_baselines, settings.dry_run)
    ids, base_url = settings.test_run_ids, settings.connection.base_url
    action = "Dry run: looking at" if settings.dry_run else "Stopping the recording of"
    runs = f"test run {ids[0]}" if len(ids) == 1 else f"{len(ids)} test runs"
    with (
        WallarmClient(settings.connection, deadline) as client,
        reporter.section(f"{action} {runs} at {base_url}"),
    ):
        jobs = [StopJob(Recording(test_run_id, client, deadline), rules) for test_run_id in ids]
        run_all(jobs, deadline, events)
        # Before the client is closed, which a job that hangs would report as an error.
        results = [job.result() for job in jobs]
    return StopReport(results, dry_run=rules.dry_run, base_url=base_url)


STEP = Step(
    command="stop-recording",
    purpose="Stops recording the baseline requests of a Wallarm FAST test run and prints its test record.",
    inputs=INPUTS,
    gitlab_output_file=GITLAB_OUTPUT_FILE,
    exit_codes=(
        "0 stopped, 1 bug, 2 bad input, 3 token refused, 4 no such test run, 5 request refused,\n"
        "6 API not reachable, 7 stop not confirmed, 8 too few baselines, 130/143 interrupted"
    ),
    run=_run,
    no_report=lambda *_: StopReport(),
    publication=make_publication,
)
