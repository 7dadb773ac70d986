"""The repository of a release."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.harness import ROOT
from tests.scripts.releases import Clone


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clone of a repository with version 1.2.0 of this project on main."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", origin], check=True)
    names = [".github/workflows/release.yml", "action.yml", "templates/stop-recording.yml"]
    clone = Clone(origin)
    clone.commit(**{name: (ROOT / name).read_text() for name in names})
    return clone
