"""A fork that puts its own name in place of OWNER passes the checks: `make fork`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import copy_project

# The tests that read files in which the name occurs; what is valid for a CI system does not depend on it.
TESTS = ["tests/scripts", "tests/test_contract.py", "tests/test_examples.py", "tests/test_readme.py"]
PYTEST = ["pytest", "-q", "-p", "no:cacheprovider", "-k", "not is_valid_for", *TESTS]


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the name was replaced everywhere."""
    folder = tmp_path_factory.mktemp("fork")
    for file in copy_project(folder):
        file.write_bytes(file.read_bytes().replace(b"OWNER", b"acme"))
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
