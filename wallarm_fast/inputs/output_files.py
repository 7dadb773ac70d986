"""The files that a step is to write, checked first of all. One that is rejected is never touched."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.table import Input, read_input
from wallarm_fast.platforms.detection import Platform
from wallarm_fast.platforms.files import identify_file, prepare_file

# A step works without these, except one whose purpose is to set variables: that needs GITHUB_ENV.
_OPTIONAL = {"GITHUB_STEP_SUMMARY", "GITHUB_ENV"}


@dataclass(frozen=True)
class OutputFiles:
    """The paths that can be written, and what is wrong with the others, by variables and names of inputs."""

    paths: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)


def find_output_files(
    environ: Mapping[str, str], table: Mapping[str, Input], platform: Platform, *, exports: bool
) -> OutputFiles:
    """Return the files of the platform, and those of the inputs that name files, in the order of the table.

    `exports` tells whether the step sets variables for later steps of the job.
    """
    wanted = {**platform.files, **_name_files(environ, table, platform)}
    optional = _OPTIONAL - {"GITHUB_ENV"} if exports else _OPTIONAL
    paths: dict[str, str] = {}
    problems: dict[str, str] = {}
    if platform.kind == "github" and "GITHUB_OUTPUT" not in wanted:
        problems["GITHUB_OUTPUT"] = "is not set, so the outputs would be lost"
    taken = set[object]()
    for name, path in wanted.items():
        try:
            for secret in platform.secrets:
                parsers.refuse_token(path, secret)
            taken.add(_identify_new(path, taken))
            if name not in optional:
                prepare_file(path, make_folder=name in table)
        except OSError as error:
            problems[name] = f"{parsers.quote(path)} cannot be written: {error.strerror}"
        except ValueError as problem:
            problems[name] = str(problem)
        else:
            paths[name] = path
    return OutputFiles(paths, problems)


def _name_files(
    environ: Mapping[str, str], table: Mapping[str, Input], platform: Platform
) -> Mapping[str, str]:
    """Return the paths that inputs name, or the defaults in GitLab CI."""
    paths = {
        name: read_input(environ, name, spec) or (spec.gitlab_file if platform.kind == "gitlab" else "")
        for name, spec in table.items()
        if spec.type == "file"
    }
    return {name: path for name, path in paths.items() if path}


def _identify_new(path: str, taken: Collection[object]) -> object:
    """Return what identifies the file; raises ValueError if it is that of another output."""
    identity = identify_file(path)
    if identity is not None and identity in taken:
        raise ValueError(f"{parsers.quote(path)} is also an output file; choose another path")
    return identity
