"""Which platform runs the step, and what it provides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# Of GitHub, GitLab, Jenkins, Azure Pipelines, CircleCI and Bitbucket.
_PIPELINE_VARIABLES = (
    "GITHUB_RUN_ID",
    "CI_PIPELINE_ID",
    "BUILD_NUMBER",
    "BUILD_BUILDNUMBER",
    "CIRCLE_BUILD_NUM",
    "BITBUCKET_BUILD_NUMBER",
)
_GITHUB_FILES = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")


@dataclass(frozen=True)
class Platform:
    """A platform: the files it provides, by their variables, and what its log must not show.

    `pipeline` is the number of the pipeline, if it is known.
    """

    kind: Literal["github", "gitlab", "console"]
    files: Mapping[str, str]
    debug: bool
    pipeline: str | None
    secrets: tuple[str, ...] = field(repr=False)

    def with_pipeline(self, name: str) -> str:
        """Return the name with the number of the pipeline, if that is known."""
        return f"{name}, pipeline {self.pipeline}" if self.pipeline else name


def detect_platform(environ: Mapping[str, str], token: str) -> Platform:
    """Detect the platform by its environment variables. Never fails, so that it can report any error."""
    github = environ.get("GITHUB_ACTIONS") == "true"
    gitlab = not github and "GITLAB_CI" in environ  # gitlab-ci-local sets it to false
    pipeline = next((environ[name] for name in _PIPELINE_VARIABLES if environ.get(name)), "")
    return Platform(
        kind="github" if github else "gitlab" if gitlab else "console",
        files={name: environ[name] for name in _GITHUB_FILES if github and environ.get(name)},
        debug=environ.get("RUNNER_DEBUG") == "1" or environ.get("CI_DEBUG_TRACE") == "true",
        pipeline=pipeline.encode(errors="replace").decode() or None,
        secrets=(token,) if token else (),
    )
