import os
import sys
from pathlib import Path

from tests.e2e.engine import ROOT
from tests.e2e.pipelines import run


def test_without_an_engine_nothing_passes_and_the_reason_is_given(tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "tests.e2e", "test"], ROOT, os.environ | {"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.startswith("error: No container engine answers (there is no docker client on PATH)")
    assert "dockerd is not installed" in done.stderr
