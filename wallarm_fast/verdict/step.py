"""The verdict step: read the settings, copy if asked, wait for the security tests, report."""

import logging
from collections.abc import Mapping, Sequence

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.app import Step, run_step
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.parallel import Events, Job, run_all
from wallarm_fast.platforms import Reporter
from wallarm_fast.text import plural
from wallarm_fast.verdict.job import CopyJob, WaitJob
from wallarm_fast.verdict.outputs import make_publication
from wallarm_fast.verdict.results import VerdictReport
from wallarm_fast.verdict.run import TestedRun
from wallarm_fast.verdict.settings import GITLAB_OUTPUT_FILE, INPUTS, find_junit_file, read_settings

_log = logging.getLogger(__name__)


def main(environ: Mapping[str, str], arguments: Sequence[str] = (), clock: Clock | None = None) -> int:
    """Run the step with these environment variables and return the exit code of the process."""
    return run_step(STEP, environ, arguments, clock)


def _run(environ: Mapping[str, str], clock: Clock, events: Events, reporter: Reporter) -> VerdictReport:
    settings = read_settings(environ, reporter.platform)
    for warning in settings.warnings:
        _log.warning(warning)
    deadline = Deadline.after(settings.timeout, clock)
    with WallarmClient(settings.connection, deadline) as client:
        runs = [TestedRun(client, deadline, test_run_id) for test_run_id in settings.wait_for]
        jobs: list[Job] = [WaitJob(run, settings.min_threat) for run in runs]
        title = f"Waiting for the security tests of {plural(len(runs), 'test run')}"
        if settings.copies:
            copies = [TestedRun(client, deadline, copied_by=fields) for fields in settings.copies]
            jobs, runs = [CopyJob(copies, runs, settings.min_threat)], copies
            title = f"Copying, and waiting for the security tests of {plural(len(copies), 'copy')}"
        with reporter.section(f"{title} at {settings.connection.base_url}"):
            run_all(jobs, deadline, events)
            # Before the client is closed, which a job that hangs would report as an error.
            results = [run.result() for run in runs]
    return VerdictReport(results, min_threat=settings.min_threat, junit_file=settings.junit_file)


STEP = Step(
    command="fast-verdict",
    purpose="Waits for the security tests of a Wallarm FAST test run, or of a copy that it makes.",
    inputs=INPUTS,
    gitlab_output_file=GITLAB_OUTPUT_FILE,
    exit_codes=(
        "0 passed, 1 bug, 2 bad input, 3 token refused, 4 no such test run, 5 request refused,\n"
        "6 API not reachable, 9 vulnerabilities found, 10 run aborted, 11 not finished, 12 nothing tested,\n"
        "130/143 interrupted"
    ),
    run=_run,
    no_report=lambda environ, platform: VerdictReport(junit_file=find_junit_file(environ, platform)),
    publication=make_publication,
)
