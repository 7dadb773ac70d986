"""The git part of a release; rehearsal.py has the part that takes a registry."""

import re

import pytest
import yaml

from tests.scripts.releases import JOBS, RUNS, STEPS, Clone

REFERENCE = f"ghcr.io/owner/name:1.2.0@sha256:{'0a' * 32}"


def test_the_workflow_runs_every_step_of_the_script() -> None:
    assert list(STEPS) == ["check", "join", "public", "tag", "notes", "major"]


def test_the_workflow_gives_every_step_the_variables_that_it_uses() -> None:
    for job in JOBS:
        for step in job.get("steps", []):
            used = re.findall(r"\$\{?((?!GITHUB_|RUNNER_)[A-Z0-9_]+)", step.get("run", ""))
            assert set(used) <= {"VERSION", *job.get("env", ()), *step.get("env", ())}


def test_a_version_other_than_that_of_the_code_is_refused(clone: Clone) -> None:
    clone.step("check", VERSION="1.2.1", fails="does not have the version 1.2.1")


@pytest.mark.parametrize("version", ["v1.2.0", "1.2", "1.2.0-rc.1", ""])
def test_a_version_other_than_three_numbers_is_refused(clone: Clone, version: str) -> None:
    clone.commit(version)
    clone.step("check", VERSION=version, fails="a version is three numbers such as 1.2.3")


NOTES = """# Changelog

## 1.3.0

Not released.

## 1.2.0

A first paragraph.

### Fixed

- A list, about 1.0.0.

## 1.0.0

First release.
"""


def test_the_release_notes_are_the_section_of_the_version_in_the_changelog(clone: Clone) -> None:
    clone.commit(**{"CHANGELOG.md": NOTES})
    assert (
        clone.step("notes", VERSION="1.2.0") == "A first paragraph.\n\n### Fixed\n\n- A list, about 1.0.0.\n"
    )
    assert clone.step("notes", VERSION="1.0.0") == "First release.\n"


@pytest.mark.parametrize(
    "changelog",
    ["", "# 1.2.0\n\nx\n", "## 1.2.0", "## 1.2.0\n\n## 1.1.0\n\nx\n", "## 1.2.01\n\nx\n", "## 112.0\n\nx\n"],
)
@pytest.mark.parametrize("step", ["check", "notes"])
def test_a_version_that_the_changelog_does_not_describe_is_refused(
    clone: Clone, step: str, changelog: str
) -> None:
    clone.commit(**{"CHANGELOG.md": changelog})
    clone.step(step, VERSION="1.2.0", fails="CHANGELOG.md does not say under '## 1.2.0' what changes")


def test_the_release_on_github_has_these_notes() -> None:
    (publish,) = [run for run in RUNS if "gh release create" in run]
    assert '--notes-file "$NOTES"' in publish
    assert "--generate-notes" not in publish


def test_a_commit_that_is_on_no_branch_for_releases_is_refused(clone: Clone) -> None:
    clone.commit("1.2.1", branch="x")
    clone.step("check", VERSION="1.2.1", fails="neither on main nor on a maintenance branch")
    clone.push("HEAD:refs/heads/1.2.x")
    clone.step("check", VERSION="1.2.1")


@pytest.mark.parametrize("name", ["action.yml", "verdict/action.yml", "templates/other.yml"])
def test_a_file_that_does_not_name_the_image_once_is_refused_at_the_start(clone: Clone, name: str) -> None:
    clone.commit("1.3.0", **{name: "name: nothing\n"})
    clone.step("check", VERSION="1.3.0", fails=f"{name} names the image 0 times")


def test_a_commit_whose_workflows_are_on_no_branch_any_more_is_refused_with_the_way_out(clone: Clone) -> None:
    late = Clone(clone.origin)
    clone.commit(**{".github/workflows/ci.yml": "name: CI\n"})
    late.git("fetch", "--quiet")
    late.step("check", VERSION="1.2.0", fails="no branch has the workflow files of this commit")
    commit = late.git("rev-parse", "HEAD")
    late.step("tag", REFERENCE=REFERENCE, fails=f"git push origin {commit}:refs/heads/")
    late.push("HEAD:refs/heads/release-1.2.0")
    late.step("tag", REFERENCE=REFERENCE)
    late.push(":refs/heads/release-1.2.0")
    late.git("fetch", "--quiet", "--tags")
    late.step("check", VERSION="1.2.0")  # it is tagged, so nothing is left to be refused


def test_a_release_starts_the_image_by_digest_and_is_otherwise_the_commit_of_main(clone: Clone) -> None:
    clone.commit(**{"another/action.yml": "runs:\n  image: ../Dockerfile\n"})
    clone.step("tag", REFERENCE=REFERENCE)
    released = clone.tags()["v1.2.0"]
    assert clone.tags() == {"v1.2.0": released, "1.2.0": released}
    assert clone.git("rev-parse", f"{released}^") == clone.git("rev-parse", "main")
    changed = clone.git("diff", "--numstat", "main", released).splitlines()
    assert changed == [
        "1\t1\taction.yml",
        "1\t1\tanother/action.yml",
        "-\t-\tnative/wallarm-fast.pyz",
        "1\t1\ttemplates/stop-recording.yml",
    ]
    # As it is, to the last byte: three of them would not survive a conversion of line ends.
    assert clone.git("rev-parse", f"{released}:native/wallarm-fast.pyz") == clone.git(
        "hash-object", "--no-filters", str(clone.zipapp)
    )
    for name in ("action.yml", "another/action.yml"):
        action = yaml.safe_load(clone.git("show", f"{released}:{name}"))
        assert action["runs"]["image"] == f"docker://{REFERENCE}"
    template = next(yaml.safe_load_all(clone.git("show", f"{released}:templates/stop-recording.yml")))
    assert template["spec"]["inputs"]["image"]["default"] == REFERENCE


def test_the_action_of_a_private_image_builds_the_dockerfile(clone: Clone) -> None:
    clone.step("tag", REFERENCE=REFERENCE, OPTION="--private")
    changed = clone.git("diff", "--name-only", "main", clone.tags()["1.2.0"]).splitlines()
    assert changed == ["native/wallarm-fast.pyz", "templates/stop-recording.yml"]


@pytest.mark.parametrize("lost", [[], ["v1.2.0"], ["1.2.0", "v1.2.0"]])
def test_a_second_attempt_makes_the_same_commit_and_the_tags_that_are_missing(
    clone: Clone, lost: list[str]
) -> None:
    clone.step("tag", REFERENCE=REFERENCE)
    first = clone.tags()
    clone.push(*(f":refs/tags/{name}" for name in lost))
    again = Clone(
        clone.origin, GIT_AUTHOR_NAME="Someone", GIT_COMMITTER_DATE="2001-01-01T00:00:00Z", TZ="Asia/Tokyo"
    )
    clone.commit("1.3.0")
    again.step("check", VERSION="1.2.0")
    again.step("tag", REFERENCE=REFERENCE)
    assert again.tags() == first


def test_what_is_released_does_not_change(clone: Clone) -> None:
    clone.step("tag", REFERENCE=REFERENCE)
    first = clone.tags()
    clone.step("tag", REFERENCE=REFERENCE.replace("0a", "0b"), fails="the tag v1.2.0 is on")
    clone.commit(later="")
    later = Clone(clone.origin)
    for step in ("check", "tag"):
        later.step(step, VERSION="1.2.0", REFERENCE=REFERENCE, fails="v1.2.0 was released from")
    assert clone.tags() == first


@pytest.mark.parametrize(
    ("old", "new"), [(":1.2.0", ""), ("1.2.0", "1"), ("o", "O"), ("0a", "a"), ("@", "\n @"), ("g", " g")]
)
def test_a_reference_without_version_or_digest_is_refused(clone: Clone, old: str, new: str) -> None:
    changed = REFERENCE.replace(old, new)
    clone.step("tag", REFERENCE=changed, fails="not of the form HOST/NAME:1.2.3@sha256:DIGEST")
