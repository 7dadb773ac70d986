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


@dataclass(frozen=True)
class Platform:
    """A platform: the files it takes outputs from (None: there is none), and what its log must not show.

    `pipeline` is the number of the pipeline, if it is known.
    """

    kind: Literal["github", "gitlab", "console"]
    output_file: str | None
    github_output: str | None
    github_step_summary: str | None
    debug: bool
    pipeline: str | None
    secrets: tuple[str, ...] = field(repr=False)


def detect_platform(
    environ: Mapping[str, str], token: str, output_file: str, gitlab_output_file: str
) -> Platform:
    """Detect the platform by its environment variables. Never fails, so that it can report any error.

    `output_file` is that of the input ("": not given), `gitlab_output_file` the default in GitLab CI.
    """
    github = environ.get("GITHUB_ACTIONS") == "true"
    gitlab = not github and "GITLAB_CI" in environ  # gitlab-ci-local sets it to false
    pipeline = next((environ[name] for name in _PIPELINE_VARIABLES if environ.get(name)), "")
    return Platform(
        kind="github" if github else "gitlab" if gitlab else "console",
        output_file=output_file or (gitlab_output_file if gitlab else None),
        github_output=(environ.get("GITHUB_OUTPUT") or None) if github else None,
        github_step_summary=(environ.get("GITHUB_STEP_SUMMARY") or None) if github else None,
        pipeline=pipeline.encode(errors="replace").decode() or None,
        debug=environ.get("RUNNER_DEBUG") == "1" or environ.get("CI_DEBUG_TRACE") == "true",
        secrets=(token,) if token else (),
    )
