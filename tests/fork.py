"""A fork that puts its own name in place of OWNER passes the checks: `make fork`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT, copy_project

# The tests that read files in which the name occurs; what is valid for a CI system does not depend on it.
TESTS = ["tests/scripts", "tests/test_contract.py", "tests/test_examples.py", "tests/test_readme.py"]
PYTEST = ["pytest", "-q", "-p", "no:cacheprovider", "-k", "not is_valid_for", *TESTS]


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the name was replaced by the command in CONTRIBUTING.md."""
    folder = tmp_path_factory.mktemp("fork")
    copy_project(folder)
    (command,) = re.findall("(?m)^ *(git grep -lz OWNER .*)$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    script = f"git init --quiet && git add . && {command.replace('your-organization', 'acme')}"
    subprocess.run(["sh", "-c", script], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(
    "check", [["ruff", "format", "--check"], ["ruff", "check"], PYTEST], ids=["format", "lint", "tests"]
)
def test_a_fork_passes_the_checks_with_its_own_name(check: list[str], fork: Path) -> None:
    renamed = [str(path) for path in fork.rglob("*.py") if b"acme" in path.read_bytes()]
    files = renamed if check[0] == "ruff" else []
    done = subprocess.run(
        [sys.executable, "-m", *check, *files], cwd=fork, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fork_has_its_own_name_in_every_address(fork: Path) -> None:
    search = ["git", "grep", "-hE", "OWNER[/]|owner[ ]OWNER"]
    assert subprocess.run(search, cwd=fork, capture_output=True, text=True, check=False).stdout == ""
    assert "ghcr.io/acme/wallarm-fast-stop-recording:1" in (fork / "README.md").read_text("utf-8")


def test_the_text_about_the_name_stays_as_it_is(fork: Path) -> None:
    assert (fork / "CONTRIBUTING.md").read_bytes() == (ROOT / "CONTRIBUTING.md").read_bytes()
    assert "While the addresses below say `OWNER`" in (fork / "README.md").read_text("utf-8")


def test_the_command_for_the_time_before_a_release_names_the_branch_in_a_workflow(tmp_path: Path) -> None:
    (command,) = re.findall("(?m)^perl -pi .*$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    workflow = tmp_path / ".github/workflows/fast.yml"
    workflow.parent.mkdir(parents=True)
    example = (ROOT / "examples/github/one-job.yml").read_text("utf-8")
    workflow.write_text(example, "utf-8")
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    assert workflow.read_text("utf-8") == example.replace("@v1", "@main")
