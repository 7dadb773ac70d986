"""GitHub Actions, GitLab CI, or any other console: log lines, masks, files for outputs. Knows no step."""

from collections.abc import Mapping

from wallarm_fast.platforms.detection import Platform, detect_platform
from wallarm_fast.platforms.reporter import Reporter

__all__ = ["Platform", "Reporter", "detect_platform", "make_reporter"]


def make_reporter(platform: Platform, paths: Mapping[str, str]) -> Reporter:
    """Return the reporter for the platform. `paths` are the files that may be written."""
    # Imported as needed: a step starts faster, and only GitHub needs actions-toolkit.
    if platform.kind == "github":
        from wallarm_fast.platforms.github import GitHubReporter  # noqa: PLC0415

        return GitHubReporter(platform, paths)
    if platform.kind == "gitlab":
        from wallarm_fast.platforms.gitlab import GitLabReporter  # noqa: PLC0415

        return GitLabReporter(platform, paths)
    from wallarm_fast.platforms.console import ConsoleReporter  # noqa: PLC0415

    return ConsoleReporter(platform, paths)
