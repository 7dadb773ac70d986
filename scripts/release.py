# ruff: noqa: INP001  # a script, not a package
"""The steps of a release that concern git and the registry; release.yml says in which order they run.

Each can be run again at any time: it keeps what there is of the release, and refuses what is of another one.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_REFERENCE = re.compile(r"([a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._-]+)+):(\d+\.\d+\.\d+)@sha256:[0-9a-f]{64}")
_BRANCH = re.compile(r"main|\d+(\.\d+)?\.x")
_BUILT_IMAGE = re.compile(r"^(  image: )(?:\.\./)*Dockerfile(?: #.*)?$", re.MULTILINE)  # in an action.yml
_MOVING_IMAGE = re.compile(r"^(    image:\n      default: )\S+$", re.MULTILINE)  # in a GitLab component
_ZIPAPP = "native/wallarm-fast.pyz"
_BOT = {"NAME": "github-actions[bot]", "EMAIL": "41898282+github-actions[bot]@users.noreply.github.com"}
_REVISION = "org.opencontainers.image.revision"  # a label that the Dockerfile sets


class ReleaseError(Exception):
    """The release cannot be made, or not like this; the message says what to do."""


def check(version: str) -> None:
    """Check that the commit checked out, in a clone with all branches and tags, can become this version."""
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"a version is three numbers such as 1.2.3, not {version!r}")
    if f'__version__ = "{version}"' not in _git("show", "HEAD:wallarm_fast/__init__.py").splitlines():
        raise ReleaseError(f"wallarm_fast/__init__.py does not have the version {version}")
    _changes(version)
    containing = _git("branch", "--remotes", "--contains=HEAD", "--format=%(refname:lstrip=3)").splitlines()
    if not any(map(_BRANCH.fullmatch, containing)):
        raise ReleaseError("the commit is neither on main nor on a maintenance branch such as 1.x or 1.2.x")
    _pinned_files("any", private=False)
    head = _git("rev-parse", "HEAD")
    if _git("tag", "--list", f"v{version}"):
        if (parent := _git("rev-parse", f"refs/tags/v{version}^")) != head:
            raise ReleaseError(f"v{version} was released from {parent}; set a new version")
        return
    branches = _git("branch", "--remotes", "--format=%(refname)").splitlines()
    if _workflows("HEAD") not in map(_workflows, branches):
        command = f"git push origin {head}:refs/heads/release-{version}"
        problem = "no branch has the workflow files of this commit any more, so GitHub may refuse to tag it"
        raise ReleaseError(f"{problem}. Run `{command}`, and then the failed jobs")


def join(tag: str, digests: list[str]) -> None:
    """Combine the images of all architectures under IMAGE:VERSION, unless it is there; print what it is."""
    if not (published := _inspect(tag)):
        sources = [f"{tag.rpartition(':')[0]}@{digest}" for digest in digests]
        _imagetools("create", f"--tag={tag}", *sources)
        published = _inspect(tag)
    digest, built = published or ("", {"unknown"})
    if built != {head := _git("rev-parse", "HEAD")}:
        raise ReleaseError(f"{tag} was built from {' and '.join(built)}, not from {head}; set a new version")
    print(f"digest={digest}\nreference={tag}@{digest}")  # noqa: T201


def public(reference: str) -> None:
    """Check that everybody can pull the image."""
    with tempfile.TemporaryDirectory() as no_credentials:
        try:
            _imagetools("inspect", reference, DOCKER_CONFIG=no_credentials)
        except ReleaseError as error:
            problem = "the image cannot be pulled without credentials; CONTRIBUTING.md says what to set"
            raise ReleaseError(f"{problem}.\n{error}") from error


def tag(reference: str, *, zipapp: Path, private: bool) -> None:
    """Put the tags v1.2.3 and 1.2.3 on a commit that has the zipapp and files with the image by digest."""
    _, version = _parse(reference)
    check(version)
    files = {name: text.encode() for name, text in _pinned_files(reference, private=private).items()}
    commit, there = _release_commit(version, {**files, _ZIPAPP: zipapp.read_bytes()}), _remote_tags()
    names = (f"v{version}", version)
    for name in names:
        if there.get(name, commit) != commit:
            raise ReleaseError(f"the tag {name} is on {there[name]}, not on {commit}; no release changes")
    _git("push", "--atomic", "origin", *(f"{commit}:refs/tags/{name}" for name in names))


def notes(version: str) -> None:
    """Print the section of the changelog that describes this version."""
    print(_changes(version))  # noqa: T201


def major(reference: str) -> None:
    """Move the major tags of the action (v1) and of the image (1) here, unless a newer release has them."""
    image, version = _parse(reference)
    number, tags = version.partition(".")[0], _remote_tags()
    series = [name for name in tags if _VERSION.fullmatch(name) and name.startswith(f"{number}.")]
    if (newest := max([*series, version], key=lambda name: [*map(int, name.split("."))])) != version:
        print(f"The major tags stay on {newest}, which is newer")  # noqa: T201
        return
    _git("fetch", "--no-tags", "origin", f"refs/tags/v{version}")
    _git("push", "--force", "origin", f"FETCH_HEAD:refs/tags/v{number}")
    _imagetools("create", f"--tag={image}:{number}", reference)


def _changes(version: str) -> str:
    """Return the section of a version in the changelog, without its heading."""
    changelog = _git("show", "HEAD:CHANGELOG.md")
    section = re.search(rf"(?ms)^## {re.escape(version)}$(.*?)(?=^## |\Z)", changelog)
    if not (section and section[1].strip()):
        raise ReleaseError(f"CHANGELOG.md does not say under '## {version}' what changes")
    return section[1].strip()


def _workflows(revision: str) -> str:
    return _git("ls-tree", revision, ".github/workflows")


def _parse(reference: str) -> tuple[str, str]:
    """Return image and version."""
    if not (match := _REFERENCE.fullmatch(reference)):
        raise ReleaseError(f"not of the form HOST/NAME:1.2.3@sha256:DIGEST: {reference!r}")
    return match[1], match[2]


def _remote_tags() -> dict[str, str]:
    lines = (line.split() for line in _git("ls-remote", "--tags", "--refs", "origin").splitlines())
    return {name.removeprefix("refs/tags/"): commit for commit, name in lines}


def _inspect(tag: str) -> tuple[str, set[str]] | None:
    """Return digest and source commits of a published image, None if there is none."""
    template = '{"manifest": {{json .Manifest}}, "image": {{json .Image}}}'
    try:
        found = json.loads(_imagetools("inspect", tag, f"--format={template}"))
    except ReleaseError as error:
        if str(error).endswith(f"{tag}: not found"):
            return None
        raise
    platforms = [found["image"]] if "config" in found["image"] else found["image"].values()
    labels = [platform["config"].get("Labels") or {} for platform in platforms]
    return found["manifest"]["digest"], {label.get(_REVISION, "unknown") for label in labels}


def _pinned_files(reference: str, *, private: bool) -> dict[str, str]:
    """Return the files that start the image, with this image in place of the one they have at HEAD."""
    pinned = {}
    for name in _git("ls-tree", "-r", "--name-only", "HEAD").splitlines():
        if name.startswith("native/"):
            continue  # those run the zipapp
        if PurePosixPath(name).name == "action.yml" and not private:
            line, image = _BUILT_IMAGE, f"docker://{reference}"
        elif PurePosixPath(name).match("templates/*.yml"):
            line, image = _MOVING_IMAGE, reference
        else:
            continue
        pinned[name], count = line.subn(rf"\g<1>{image}", _run("git", "show", f"HEAD:{name}"))
        if count != 1:
            raise ReleaseError(f"{name} names the image {count} times, not once")
    return pinned


def _release_commit(version: str, files: dict[str, bytes]) -> str:
    """Return a commit on top of HEAD with these files. It is the same every time, so it has HEAD's date."""
    date = _git("show", "--no-patch", "--format=%cI", "HEAD")
    roles = ("AUTHOR", "COMMITTER")
    environ = {f"GIT_{role}_{key}": value for role in roles for key, value in (_BOT | {"DATE": date}).items()}
    with tempfile.TemporaryDirectory() as folder:
        environ["GIT_INDEX_FILE"] = str(Path(folder, "index"))
        _git("read-tree", "HEAD", **environ)
        for name, content in files.items():
            path = Path(folder, "content")
            path.write_bytes(content)
            blob = _git("hash-object", "-w", "--no-filters", str(path))
            _git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", **environ)
        message = f"Release {version}: start the published image"
        return _git("commit-tree", _git("write-tree", **environ), "-p", "HEAD", "-m", message, **environ)


def _imagetools(*arguments: str, **environ: str) -> str:
    return _run("docker", "buildx", "imagetools", *arguments, **environ)


def _git(*arguments: str, **environ: str) -> str:
    return _run("git", *arguments, **environ).strip()


def _run(*command: str, **environ: str) -> str:
    """Return what a command prints. ReleaseError with what it says if it fails."""
    env = os.environ | environ
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def main() -> None:
    """Run one step; a failure is an error message and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(required=True)
    for step in (check, join, public, tag, notes, major):
        subparser = steps.add_parser(step.__name__, help=step.__doc__, description=step.__doc__)
        subparser.set_defaults(step=step)
        subparser.add_argument({check: "version", notes: "version", join: "tag"}.get(step, "reference"))
        if step is join:
            subparser.add_argument("digests", nargs="+")
        elif step is tag:
            subparser.add_argument("--private", action="store_true", help="leave action.yml as it is")
            subparser.add_argument("--zipapp", type=Path, required=True, help="file to put into the commit")
    arguments = vars(parser.parse_args())
    try:
        arguments.pop("step")(**arguments)
    except ReleaseError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
