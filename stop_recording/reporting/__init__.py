"""Where results and log lines go: GitHub Actions, GitLab CI, or the console of anything else."""

from stop_recording.reporting.base import Reporter
from stop_recording.reporting.console import ConsoleReporter
from stop_recording.reporting.gitlab import GitLabReporter
from stop_recording.settings import Platform

__all__ = ["Reporter", "make_reporter"]


def make_reporter(platform: Platform) -> Reporter:
    """Return the reporter for what runs the step."""
    if platform.kind == "github":
        # Only there: nothing else needs actions-toolkit.
        from stop_recording.reporting.github import GitHubReporter  # noqa: PLC0415

        return GitHubReporter(platform)
    return (GitLabReporter if platform.kind == "gitlab" else ConsoleReporter)(platform)
